/**
 * Images as LM Studio takes them: PNG or JPEG in a `data:` URL. It refuses addresses, and WebP with the
 * same misleading words, so both are refused here with better ones.
 *
 * @module
 */

import type { Refuse } from "../core/request_checks.ts";
import type { ImagePart } from "../core/messages.ts";

const HINT = "Convert the image to PNG or JPEG and pass its bytes.";

const SIGNATURES: readonly {
  readonly format: string;
  readonly at: number;
  readonly bytes: readonly number[];
}[] = [
  { format: "image/png", at: 0, bytes: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] },
  { format: "image/jpeg", at: 0, bytes: [0xff, 0xd8, 0xff] },
  { format: "GIF", at: 0, bytes: [0x47, 0x49, 0x46, 0x38] },
  { format: "WebP", at: 8, bytes: [0x57, 0x45, 0x42, 0x50] },
  { format: "AVIF", at: 4, bytes: [0x66, 0x74, 0x79, 0x70, 0x61, 0x76, 0x69] },
  { format: "HEIC", at: 4, bytes: [0x66, 0x74, 0x79, 0x70, 0x68, 0x65, 0x69] },
  { format: "TIFF", at: 0, bytes: [0x49, 0x49, 0x2a, 0x00] },
  { format: "TIFF", at: 0, bytes: [0x4d, 0x4d, 0x00, 0x2a] },
  { format: "BMP", at: 0, bytes: [0x42, 0x4d] },
];

/** The `data:` URL of an image part. @param path where the part stands, for errors. */
export async function encodeImage(part: ImagePart, path: string, refuse: Refuse): Promise<string> {
  const bytes = await readImage(part.image, path, refuse);
  const format = SIGNATURES.find(({ at, bytes: signature }) =>
    signature.every((byte, index) => bytes[at + index] === byte)
  )?.format;
  if (format === undefined || !format.startsWith("image/")) {
    const found = format ?? (bytes.byteLength === 0 ? "empty" : "of an unknown format");
    throw refuse(`${path} is ${found}, not PNG or JPEG`, "unsupported_content", HINT);
  }
  const declared = part.mediaType?.toLowerCase().replace("image/jpg", "image/jpeg");
  if (declared !== undefined && declared !== format) {
    throw refuse(`${path} is ${format}, not ${declared}`, "unsupported_content", HINT);
  }
  return `data:${format};base64,${toBase64(bytes)}`;
}

async function readImage(
  image: ImagePart["image"],
  path: string,
  refuse: Refuse,
): Promise<Uint8Array> {
  if (image instanceof Uint8Array) return image;
  if (image instanceof Blob) return new Uint8Array(await image.arrayBuffer());
  const url = String(image);
  const data = /^data:[^,]*;base64,/i.exec(url);
  if (data !== null) {
    try {
      return Uint8Array.from(atob(url.slice(data[0].length)), (char) => char.charCodeAt(0));
    } catch {
      throw refuse(`${path} is a data: URL whose base64 cannot be read`, "unsupported_content");
    }
  }
  // The address may be private: only its scheme is said.
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0] ?? "text";
  throw refuse(
    `${path} is ${scheme === "text" ? scheme : `a ${scheme} address`}, not image data`,
    "unsupported_content",
    "Pass the bytes of the image, a Blob, or a data: URL in base64: the server does not fetch addresses.",
  );
}

// `Uint8Array.toBase64` is missing on Node 20; one `String.fromCharCode` call for all overflows the stack.
function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.byteLength; at += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(binary);
}
