import * as Result from "effect/Result"

/** Converts a data URL, URL-safe base64 or base64 with whitespace to plain base64. Plain base64 is unchanged. */
export const plainBase64 = (text: string): string => {
  const data = text.replace(dataUrl, "")
  // `includes` first: a regular expression is slow on megabytes of base64.
  return unusual.some((character) => data.includes(character))
    ? data.replace(/\s+/g, "").replaceAll("-", "+").replaceAll("_", "/")
    : data
}

const dataUrl = /^\s*data:[^,]{0,200};base64,/i

const unusual = ["\n", "\r", "\t", " ", "-", "_"]

const signatures: ReadonlyArray<readonly [type: string, start: RegExp]> = [
  ["image/png", /^\u0089PNG\r\n/],
  ["image/jpeg", /^\u00ff\u00d8\u00ff/],
  ["image/gif", /^GIF8[79]a/],
  ["image/webp", /^RIFF.{4}WEBP/s],
  ["application/pdf", /^%PDF-/],
  // The API refuses the types below, for images and for documents.
  ["image/heic", /^.{4}ftyp(hei[cx]|mif1)/s],
  ["image/avif", /^.{4}ftypavif/s],
  ["image/tiff", /^(II\*|MM.\*)/s],
  ["image/bmp", /^BM/]
]

/** Source: SDK 1.12 types, Base64ImageSource. */
export const imageTypes = ["image/jpeg", "image/png", "image/gif", "image/webp"] as const

/** Undefined if the base64 data is not an image of a type that the API accepts. */
export const imageTypeOf = (data: string): (typeof imageTypes)[number] | undefined => {
  const seen = typeOf(data)
  return imageTypes.find((type) => type === seen)
}

/** The media type of base64 data, from its first bytes. Undefined for an unknown format or invalid base64. */
export const typeOf = (data: string): string | undefined => {
  const bytes = Result.getOrElse(Result.try(() => atob(data.slice(0, 24))), () => "")
  return signatures.find(([, start]) => start.test(bytes))?.[0]
}
