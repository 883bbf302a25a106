/** The `download` command: a progress bar on a terminal, one line elsewhere. */

import type { DownloadProgress } from "../core/model_management.ts";
import { type Command, providerOf, SERVER_OPTIONS, untilInterrupted } from "./arguments.ts";
import { bytes } from "./models.ts";
import { shownJson, shownOnOneLine } from "./terminal.ts";

const BAR_WIDTH = 24;

export const command: Command = {
  usage: "<model> [options]",
  about:
    "Downloads a model to the server and waits until it is complete. Ctrl+C stops the waiting, not the download. " +
    "Requires LM Studio 0.4.",
  options: {
    ...SERVER_OPTIONS,
    quantization: {
      value: "NAME",
      help: "The quantization, such as Q4_K_M, for a Hugging Face link.",
    },
    json: { help: "Print each status update as a line of JSON." },
  },
  examples: [
    ["download ibm/granite-4-micro", "From LM Studio's catalog."],
    ["download https://huggingface.co/lmstudio-community/Qwen3-4B-GGUF --quantization Q4_K_M", ""],
  ],
  positionals: [1, 1],
  async run(given) {
    const { terminal, options, positionals: [model = ""] } = given;
    let last: DownloadProgress | undefined;
    await untilInterrupted(given, async (signal) => {
      const { quantization } = options;
      const looks = providerOf(given).models.download(model, { quantization }, { signal });
      for await (const look of looks) {
        last = look;
        if (options.json !== undefined) await terminal.line(shownJson(look));
        else await terminal.progress(barOf(look));
      }
    });
    await terminal.endProgress(true);
    if (options.json !== undefined) return 0;
    const size = last?.totalBytes === undefined ? "" : ` (${bytes(last.totalBytes)})`;
    const state = last?.status === "already_downloaded"
      ? "was already downloaded"
      : "has been downloaded";
    await terminal.line(`${shownOnOneLine(model)} ${state}${size}.`);
    return 0;
  },
};

/** Progress line, such as `[#####-----]  42 %  1.2 of 2.3 GB  78 MB/s  14 s left`. */
function barOf(
  { status, downloadedBytes = 0, totalBytes, bytesPerSecond }: DownloadProgress,
): string {
  const done = totalBytes === undefined || totalBytes === 0
    ? undefined
    : downloadedBytes / totalBytes;
  const filled = Math.round((done ?? 0) * BAR_WIDTH);
  const parts = [`[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}]`];
  if (done !== undefined) parts.push(`${String(Math.floor(done * 100)).padStart(3)} %`);
  parts.push(
    totalBytes === undefined
      ? bytes(downloadedBytes)
      : `${bytes(downloadedBytes)} of ${bytes(totalBytes)}`,
  );
  if (status !== "downloading") return [...parts, shownOnOneLine(status)].join("  ");
  if (bytesPerSecond !== undefined && bytesPerSecond > 0) {
    parts.push(`${bytes(bytesPerSecond)}/s`);
    if (totalBytes !== undefined) {
      parts.push(`${duration((totalBytes - downloadedBytes) / bytesPerSecond)} left`);
    }
  }
  return parts.join("  ");
}

function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
