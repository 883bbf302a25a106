/** Plots this module's cost relative to each bar, with the interval of the median. */
import { formatNumber, type Standing } from "./report.ts";
import { CLIENTS } from "./rows.ts";

const WIDTH = 880;
const LABEL_WIDTH = 390;
const LINE_HEIGHT = 26;
const TOP = 56;
const BOTTOM = 20;
const VALUE_WIDTH = 90;
const MAX_SHARE = 3;
const PLOT_WIDTH = WIDTH - LABEL_WIDTH - VALUE_WIDTH;

/** Draws an SVG that needs no fonts or styles. */
export function drawPlot(standings: readonly Standing[]): string {
  const most = Math.max(1.5, ...standings.map(({ ours, bar }) => ours.high / bar));
  const scale = PLOT_WIDTH / Math.min(MAX_SHARE, most);
  const x = (share: number): number =>
    round(LABEL_WIDTH + Math.min(share, MAX_SHARE, most) * scale);
  const height = TOP + standings.length * LINE_HEIGHT + BOTTOM;
  const parts = standings.map((standing, index) =>
    drawLine(standing, TOP + index * LINE_HEIGHT, x)
  );
  const bar = `<line x1="${x(1)}" y1="${TOP - 8}" x2="${x(1)}" y2="${height - BOTTOM}" ` +
    `stroke="#444" stroke-width="1.5" stroke-dasharray="5 3"/>` +
    `<text x="${x(1)}" y="${TOP - 14}" text-anchor="middle">the bar</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ` +
    `font-family="sans-serif" font-size="12" role="img" aria-labelledby="title">
<title id="title">Cost of @patinox/lmstudio relative to each bar</title>
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="12" y="22" font-size="15" font-weight="bold">Cost of @patinox/lmstudio relative to each bar</text>
<text x="12" y="40" fill="#555">Lower is better. Thin lines show the interval of the median.</text>
${parts.join("\n")}
${bar}
</svg>
`;
}

function drawLine(
  { row, of, against, runtime, bar, ours }: Standing,
  y: number,
  x: (share: number) => number,
): string {
  const middle = y + LINE_HEIGHT / 2;
  const peer = against === undefined ? row.unit : `÷ ${CLIENTS[against].label}`;
  const subject = of === "ours" ? row.id : `${row.id}, ${CLIENTS[of].label.split("/").at(-1)}`;
  const place = runtime === "any" ? "" : `, ${runtime}`;
  const color = ours.median <= bar ? "#2a7f62" : "#c1543c";
  const median = ours.median / bar;
  return [
    `<text x="${LABEL_WIDTH - 10}" y="${middle + 4}" text-anchor="end">` +
    `${escape(`${subject} ${peer}${place}`)}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${y + 5}" width="${round(x(median) - LABEL_WIDTH)}" ` +
    `height="${LINE_HEIGHT - 10}" fill="${color}"/>`,
    `<line x1="${x(ours.low / bar)}" y1="${middle}" x2="${x(ours.high / bar)}" y2="${middle}" ` +
    `stroke="#222"/>`,
    `<text x="${WIDTH - 8}" y="${middle + 4}" text-anchor="end">` +
    `${formatNumber(ours.median)} / ${formatNumber(bar)}</text>`,
  ].join("");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
