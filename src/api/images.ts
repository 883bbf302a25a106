/**
 * Images in the form LM Studio accepts: PNG or JPEG in a `data:` URL. The server refuses http URLs and WebP in the same
 * misleading words; so URLs are fetched here, and other formats are refused with a clearer message.
 *
 * @module
 */

import type { RefusalMaker } from "../core/checks.ts";
import type { ImagePart } from "../core/messages.ts";
import { detectFormat } from "./image_formats.ts";

/** Fetches the image behind an http(s) URL; `signal` aborts it once another image of the request has failed. */
export type FetchImage = (url: URL, path: string, signal: AbortSignal) => Promise<Uint8Array>;

/** An image and its place in the request, for errors. */
export interface PlacedImage {
  readonly part: ImagePart;
  /** Such as `messages[0].content[1].image`. */
  readonly path: string;
}

const CONVERT = "Convert the image to PNG or JPEG and pass its bytes.";
const PASS_BYTES =
  'Read the file and pass its bytes: `image: await Deno.readFile("cat.png")`; on Node and Bun, use `readFile` in `node:fs/promises`.';
const PASS_DATA = "Pass the image's bytes, a Blob, a base64 data: URL or an http(s) URL.";
const AT_A_TIME = 4;

/**
 * The `data:` URLs of images, in order. Nothing is fetched until every other image has been checked, and each URL is
 * fetched only once.
 */
export async function encodeImages(
  images: readonly PlacedImage[],
  refusal: RefusalMaker,
  fetchImage: FetchImage,
): Promise<string[]> {
  const read: (Uint8Array | URL)[] = [];
  for (const { part, path } of images) {
    const content = await readImage(part.image, path, refusal);
    if (!(content instanceof URL)) checkFormat(content, part, path, refusal);
    read.push(content);
  }
  const fetched = await fetchAll(read, images, fetchImage);
  return images.map(({ part, path }, index) => {
    const content = read[index];
    const bytes = content instanceof URL ? fetched.get(content.href) : content;
    if (bytes === undefined) throw refusal(`${path} is missing`, "unsupported_content");
    return `data:${checkFormat(bytes, part, path, refusal)};base64,${toBase64(bytes)}`;
  });
}

async function fetchAll(
  read: readonly (Uint8Array | URL)[],
  images: readonly PlacedImage[],
  fetchImage: FetchImage,
): Promise<Map<string, Uint8Array>> {
  const waiting = new Map<string, { url: URL; path: string }>();
  for (const [index, url] of read.entries()) {
    const path = images[index]?.path ?? "";
    if (url instanceof URL && !waiting.has(url.href)) waiting.set(url.href, { url, path });
  }
  const fetched = new Map<string, Uint8Array>();
  const failed = new AbortController();
  const work = async (): Promise<void> => {
    for (const [href, { url, path }] of waiting) {
      waiting.delete(href);
      fetched.set(href, await fetchImage(url, path, failed.signal));
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
  } catch (error) {
    // The other images are of no use any more.
    waiting.clear();
    failed.abort(error);
    throw error;
  }
  return fetched;
}

/** The media type, read from the bytes. @throws {InvalidRequestError} not PNG or JPEG, or not as declared. */
function checkFormat(
  bytes: Uint8Array,
  { mediaType }: ImagePart,
  path: string,
  refusal: RefusalMaker,
): string {
  const { type, name } = detectFormat(bytes);
  if (type === undefined) {
    const hint = name === "an HTML page"
      ? "Use the URL of the image itself, not of a page that shows it."
      : bytes.byteLength === 0
      ? "Check that the file or URL the image comes from is not empty."
      : CONVERT;
    throw refusal(`${path} is ${name}, not PNG or JPEG`, "unsupported_content", hint);
  }
  const declared = mediaType?.toLowerCase().replace("image/jpg", "image/jpeg");
  if (declared !== undefined && declared !== type) {
    throw refusal(
      `${path} is ${type}, not ${declared}`,
      "unsupported_content",
      "Correct `mediaType`, or leave it out: the format is read from the bytes.",
    );
  }
  return type;
}

// --- Reading ----------------------------------------------------------------------------------

/** The bytes of an image, or the URL to fetch it from. */
async function readImage(
  image: ImagePart["image"],
  path: string,
  refusal: RefusalMaker,
): Promise<Uint8Array | URL> {
  if (image instanceof Uint8Array) return image;
  if (image instanceof Blob) return await readBlob(image, path, refusal);
  const text = String(image).trim();
  if (/^data:/i.test(text)) return readDataUrl(text, path, refusal);
  if (/^https?:/i.test(text)) return readAddress(text, path, refusal);
  // The text may be a misplaced prompt, and a path may be private, so messages show neither.
  const scheme = /^[a-z][a-z0-9+.-]+:/i.exec(text)?.[0].toLowerCase();
  if (scheme === "blob:") {
    throw refusal(`${path} is a blob: URL, not image data`, "unsupported_content", PASS_DATA);
  }
  if (scheme !== undefined && scheme !== "file:") {
    throw refusal(
      `${path} is a URL (${scheme}), not image data`,
      "unsupported_content",
      PASS_DATA,
    );
  }
  if (/^[A-Za-z0-9+/\s]{64,}={0,2}$/.test(text)) {
    throw refusal(
      `${path} is bare base64, not a data: URL`,
      "unsupported_content",
      "Put `data:image/png;base64,` (or `data:image/jpeg;base64,`) in front of it.",
    );
  }
  const what = scheme === undefined ? "text (perhaps a file path)" : "a file: URL";
  throw refusal(`${path} is ${what}, not image data`, "unsupported_content", PASS_BYTES);
}

async function readBlob(blob: Blob, path: string, refusal: RefusalMaker): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch {
    // A page's `File` may be gone from disk, or changed.
    throw refusal(`${path} is a Blob that cannot be read`, "unsupported_content", PASS_DATA);
  }
}

function readDataUrl(text: string, path: string, refusal: RefusalMaker): Uint8Array {
  const comma = text.indexOf(",");
  const head = comma === -1 ? "" : text.slice(0, comma);
  if (!/;\s*base64\s*$/i.test(head)) {
    const what = /^data:image\/svg/i.test(text)
      ? "SVG in a data: URL"
      : "a data: URL without base64";
    throw refusal(`${path} is ${what}, not image data`, "unsupported_content", CONVERT);
  }
  try {
    const base64 = text.slice(comma + 1);
    const plain = base64.includes("%") ? decodeURIComponent(base64) : base64;
    return Uint8Array.from(atob(plain), (char) => char.charCodeAt(0));
  } catch {
    throw refusal(`${path} is a data: URL with invalid base64`, "unsupported_content", PASS_DATA);
  }
}

function readAddress(text: string, path: string, refusal: RefusalMaker): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    throw refusal(`${path} is not a valid URL`, "unsupported_content", PASS_DATA);
  }
  if (url.username !== "" || url.password !== "") {
    throw refusal(
      `${path} is a URL that contains credentials`,
      "unsupported_content",
      "Fetch the image yourself and pass its bytes.",
    );
  }
  // A fragment is never sent: without it, the same file is fetched once.
  url.hash = "";
  return url;
}

// `Uint8Array.toBase64` is missing on Node 20; a single `String.fromCharCode` call overflows the stack.
function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.byteLength; at += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(binary);
}
