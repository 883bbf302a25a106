/**
 * Detects the format of an image by its bytes: file names and declared types are often wrong.
 *
 * @module
 */

/** An image format. */
export interface ImageFormat {
  /** Media type, if LM Studio accepts the format. */
  readonly type?: "image/png" | "image/jpeg";
  /** Name to show in messages. */
  readonly name: string;
}

type Mark = readonly [at: number, bytes: string];

/** Signatures of the formats; bytes are written as Latin-1 text. */
const MARKS: readonly (readonly [ImageFormat, readonly Mark[]])[] = [
  [{ name: "PNG", type: "image/png" }, [[0, "\x89PNG\r\n\x1a\n"]]],
  [{ name: "JPEG", type: "image/jpeg" }, [[0, "\xff\xd8\xff"]]],
  [{ name: "WebP" }, [[0, "RIFF"], [8, "WEBP"]]],
  [{ name: "GIF" }, [[0, "GIF8"]]],
  [{ name: "TIFF" }, [[0, "II*\0"]]],
  [{ name: "TIFF" }, [[0, "MM\0*"]]],
  [{ name: "BMP" }, [[0, "BM"], [6, "\0\0\0\0"]]],
  [{ name: "an icon (ICO)" }, [[0, "\0\0\x01\0"]]],
  [{ name: "JPEG XL" }, [[0, "\xff\x0a"]]],
  [{ name: "JPEG XL" }, [[0, "\0\0\0\x0cJXL "]]],
  [{ name: "JPEG 2000" }, [[0, "\0\0\0\x0cjP  "]]],
  [{ name: "a Photoshop document" }, [[0, "8BPS"]]],
  [{ name: "PDF" }, [[0, "%PDF"]]],
];

/** Bytes searched for the first element of a text format. */
const TEXT_LENGTH = 1024;
/** Bytes searched for brands; a file has only a few. */
const BRANDS_LENGTH = 64;

/** Detects the format of these bytes. */
export function detectFormat(bytes: Uint8Array): ImageFormat {
  if (bytes.byteLength === 0) return { name: "empty" };
  const found = MARKS.find(([, marks]) =>
    marks.every(([at, mark]) => latin1(bytes, at, at + mark.length) === mark)
  );
  if (found !== undefined) return found[0];
  if (latin1(bytes, 4, 8) === "ftyp") return detectBoxed(bytes);
  return detectText(bytes) ?? { name: "of an unknown format" };
}

/** AVIF and HEIC share their container with videos; only the brands differ. */
function detectBoxed(bytes: Uint8Array): ImageFormat {
  const brands = latin1(bytes, 8, BRANDS_LENGTH);
  if (/avi[fs]/.test(brands)) return { name: "AVIF" };
  if (/^(?:hei|hev|mif1|msf1)/.test(brands)) return { name: "HEIC" };
  return { name: "a video" };
}

function detectText(bytes: Uint8Array): ImageFormat | undefined {
  const text = latin1(bytes, 0, TEXT_LENGTH).replace(/^(?:\xef\xbb\xbf)?\s+|^\xef\xbb\xbf/, "");
  if (!text.startsWith("<")) return undefined;
  if (/<svg[\s>]/i.test(text)) return { name: "SVG" };
  return /^<(?:!doctype html|html|head|body)\b/i.test(text) ? { name: "an HTML page" } : undefined;
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}
