/**
 * Downloads a model, with a bar on a terminal and plain lines elsewhere:
 *
 *     deno run --allow-net --allow-env examples/download.ts ibm/granite-4-micro
 *
 * Ctrl+C ends the waiting, not the download.
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
 */
import "./fake.ts";
import process from "node:process";
import { type DownloadProgress, isProviderError, LMStudioProvider } from "../mod.ts";

const BAR_WIDTH = 30;
const [model = "ibm/granite-4-micro"] = process.argv.slice(2);

const lmstudio = new LMStudioProvider();
try {
  // A terminal is redrawn, so it may be looked at more often than what keeps every line.
  const pollIntervalMs = process.stdout.isTTY ? 500 : 2000;
  for await (const progress of lmstudio.models.download(model, { pollIntervalMs })) {
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${drawn(progress)}`);
    else console.log(line(progress));
  }
  if (process.stdout.isTTY) console.log();
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}

/** One line of the terminal: what went on to a second one could not be drawn over. */
function drawn(progress: DownloadProgress): string {
  // Some terminals say that they have none.
  const columns = process.stdout.columns || 80;
  const text = line(progress);
  const width = Math.max(0, Math.min(BAR_WIDTH, columns - text.length - 4));
  return `${bar(progress, width)} ${text}`.slice(0, columns - 1);
}

function bar(progress: DownloadProgress, width: number): string {
  const { status, downloadedBytes = 0, totalBytes = Infinity } = progress;
  const isThere = status === "already_downloaded" || status === "completed";
  const full = Math.round(width * (isThere ? 1 : Math.min(1, downloadedBytes / totalBytes)));
  return `[${"#".repeat(full)}${" ".repeat(width - full)}]`;
}

function line(progress: DownloadProgress): string {
  const { status, downloadedBytes, totalBytes, bytesPerSecond, estimatedCompletion } = progress;
  const parts: string[] = [status];
  if (downloadedBytes !== undefined && totalBytes !== undefined) {
    parts.push(`${gigabytes(downloadedBytes)} of ${gigabytes(totalBytes)} GB`);
  }
  if (bytesPerSecond !== undefined) parts.push(`${(bytesPerSecond / 1e6).toFixed(1)} MB/s`);
  if (estimatedCompletion !== undefined) {
    parts.push(`until ${new Date(estimatedCompletion).toLocaleTimeString()}`);
  }
  return parts.join(", ");
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(2);
}
