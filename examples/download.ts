/**
 * Downloads a model, with a progress bar on a terminal and plain lines elsewhere:
 *
 *     deno run --allow-net --allow-env examples/download.ts ibm/granite-4-micro
 *
 * Ctrl+C stops waiting, but not the download.
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { type DownloadProgress, isProviderError, LMStudioProvider } from "../mod.ts";

const BAR_WIDTH = 30;
const [model = "ibm/granite-4-micro"] = process.argv.slice(2);

const lmstudio = new LMStudioProvider();
try {
  // A terminal line is redrawn; a log keeps every line, so poll less often there.
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

/** Fits into one line of the terminal: a second line could not be redrawn. */
function drawn(progress: DownloadProgress): string {
  // Some terminals report 0 columns.
  const columns = process.stdout.columns || 80;
  const text = line(progress);
  const width = Math.max(0, Math.min(BAR_WIDTH, columns - text.length - 4));
  return `${bar(progress, width)} ${text}`.slice(0, columns - 1);
}

function bar(progress: DownloadProgress, width: number): string {
  const { status, downloadedBytes = 0, totalBytes = Infinity } = progress;
  const isComplete = status === "already_downloaded" || status === "completed";
  const full = Math.round(width * (isComplete ? 1 : Math.min(1, downloadedBytes / totalBytes)));
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
