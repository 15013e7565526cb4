import { isObject, isString } from "effect/Predicate"
import { imageTypes, typeOf } from "../mediaType.ts"
import { allBlocks, hasBlocks } from "./blocks.ts"
import { at, both, type Given, issue, type Issues, kind, none, type Rule, show } from "./rule.ts"

const maxImageBytes = 10 * 2 ** 20

const takenImages: ReadonlySet<unknown> = new Set(imageTypes)
const pdfTypes: ReadonlySet<unknown> = new Set(["application/pdf"])
const textTypes: ReadonlySet<unknown> = new Set(["text/plain"])

const image = (source: Given): Issues => source.type === "base64" ? base64(source) : url(source)

const imageLimits = (source: Given): Issues =>
  source.type === "base64" ? both(mediaType(source, takenImages), size(source)) : none

const document = (source: Given): Issues =>
  source.type === "base64"
    ? base64(source)
    : source.type === "text"
    ? none
    : url(source)

const documentLimits = (source: Given): Issues =>
  source.type === "base64"
    ? mediaType(source, pdfTypes)
    : source.type === "text"
    ? mediaType(source, textTypes)
    : none

const sources = (given: Given, type: string, check: (source: Given) => Issues): Issues =>
  !hasBlocks(given)
    ? none
    : allBlocks(given, (block) => block.type === type ? at("source", sourceOf(block.source, check)) : none)

const sourceOf = (source: unknown, check: (source: Given) => Issues): Issues =>
  !isObject(source)
    ? issue([], `the source is ${kind(source)}: it must be an object, for example of type "base64" or "url"`)
    : isString(source.type)
    ? check(source)
    : issue(["type"], `the type of the source is ${kind(source.type)}: name it, for example "base64" or "url"`)

const mediaType = ({ data, media_type }: Given, allowed: ReadonlySet<unknown>): Issues =>
  isString(media_type) && !allowed.has(media_type)
    ? issue(["media_type"], `the media type is ${show(media_type)}: it must be ${[...allowed].join(", ")}`)
    : contradiction(media_type, data)

/** The API also reads the media type from the bytes, and refuses a different `media_type`. */
const contradiction = (type: unknown, data: unknown): Issues => {
  const seen = isString(data) ? typeOf(data) : undefined
  return seen === undefined || seen === type || type === "text/plain"
    ? none
    : issue(
      ["data"],
      `the media type is ${show(type)}, but the data is ${seen}: change the media type, or convert the data`
    )
}

const base64 = ({ data, media_type }: Given): Issues =>
  !isString(media_type)
    ? issue(["media_type"], `the media type is ${kind(media_type)}: it must be a text, for example "image/png"`)
    : !isString(data)
    ? issue(["data"], `the data is ${kind(data)}: it must be a base64 text`)
    : data === ""
    ? issue(["data"], "the data is empty: read the file first")
    : data.startsWith("data:")
    ? issue(["data"], "the data is a data URL: give only base64, without the prefix")
    : none

/** The API limits the size of the base64, which is a third larger than the image. */
const size = ({ data }: Given): Issues =>
  isString(data) && data.length > maxImageBytes
    ? issue(["data"], `the image has ${data.length} bytes as base64: shrink it to at most ${maxImageBytes}`)
    : none

const url = ({ type, url }: Given): Issues =>
  type !== "url" || isString(url) && /^https?:\/\//i.test(url)
    ? none
    : issue(["url"], "the url is not an http or https URL: give one that the API can reach, or base64 data")

export const mediaRules: ReadonlyArray<Rule> = [
  {
    name: "images",
    source: "SDK 1.12 types: ImageBlockParam",
    check: (given) => sources(given, "image", image)
  },
  {
    name: "documents",
    source: "SDK 1.12 types: DocumentBlockParam",
    check: (given) => sources(given, "document", document)
  }
]

export const mediaLimits: ReadonlyArray<Rule> = [
  {
    name: "types and sizes of images",
    source:
      "SDK 1.12 types: Base64ImageSource; API: `image exceeds 10 MB maximum`, `Image does not match the provided media type`",
    check: (given) => sources(given, "image", imageLimits)
  },
  {
    name: "types of documents",
    source: "SDK 1.12 types: Base64PDFSource, PlainTextSource",
    check: (given) => sources(given, "document", documentLimits)
  }
]
