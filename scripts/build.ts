/**
 * Builds the package into `dist`, or the folder that is named.
 *
 * The modules of the package are one file, and what users import are thin doors to it: to find and open a file costs a
 * program that starts more than to compile it, and there would be sixty. The indexes stay as `tsc` writes them, so that
 * a bundler can still leave out what is not used.
 *
 * Documentation is in the declarations, and left out of the code: what is read at the start counts too. One module of
 * Effect is taken in, because it imports the whole of `effect/ai` for one function of three lines; that was two fifths of
 * what importing the package cost (`node bench/import.ts`).
 */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { type Plugin, rolldown } from "rolldown"

const root = path.resolve(import.meta.dirname, "..")
const src = path.join(root, "src")
const dist = path.resolve(process.argv[2] ?? path.join(root, "dist"))

fs.rmSync(dist, { recursive: true, force: true })
const tsc = spawnSync("tsc", ["-p", path.join(root, "tsconfig.build.json"), "--outDir", dist], { stdio: "inherit" })
if (tsc.status !== 0) process.exit(1)

/** What begins with a small letter and is imported by users, or run. */
const entries = ["index", "testing/index", "testing/cli"]
const files = fs.readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replace(/\.ts$/, ""))
/** Private modules: they begin with a small letter. Their code is in the chunks. */
const internal = files.filter((file) => /^[a-z]/.test(path.basename(file)) && !entries.includes(file))
for (const file of internal) fs.rmSync(path.join(dist, `${file}.js`))

const effect = path.dirname(fileURLToPath(import.meta.resolve("effect")))
fs.mkdirSync(path.join(dist, "chunks"))
fs.copyFileSync(path.join(effect, "../LICENSE"), path.join(dist, "chunks/effect.LICENSE"))

/** The module of Effect that is taken in, and what it needs that nobody else can import. */
const taken = "ai/AnthropicStructuredOutput"
const parts = [taken, "ai/Tool", "ai/internal/structured-output", "internal/record"]

/** What a file is called in its folder, or nothing if it is elsewhere. */
const within = (folder: string, file: string): string | undefined =>
  file.startsWith(folder + path.sep)
    ? path.relative(folder, file).split(path.sep).join("/").replace(/\.[jt]s$/, "")
    : undefined

const takeIn: Plugin = {
  name: "take-in",
  resolveId(id, importer) {
    if (id === `effect/${taken}`) return path.join(effect, `${taken}.js`)
    if (importer === undefined || within(effect, importer) === undefined) return null
    const file = path.resolve(path.dirname(importer), id)
    const module = within(effect, file) ?? id
    return parts.includes(module) ? file : { id: `effect/${module}`, external: true, moduleSideEffects: false }
  }
}

const bundle = await rolldown({
  cwd: root,
  input: Object.fromEntries(
    files
      .filter((file) => !internal.includes(file) && path.basename(file) !== "index")
      .map((file) => [file, path.join(src, `${file}.ts`)])
  ),
  external: (id) => id !== `effect/${taken}` && !id.startsWith(".") && !path.isAbsolute(id),
  plugins: [takeIn],
  platform: "neutral",
  preserveEntrySignatures: "strict",
  treeshake: { propertyReadSideEffects: false }
})
const { output } = await bundle.write({
  dir: dist,
  chunkFileNames: "chunks/[name].js",
  minifyInternalExports: false,
  comments: { annotation: true, jsdoc: false, legal: false },
  codeSplitting: {
    groups: [{
      name: "core",
      // What needs Node or undici stays with `NodeAnthropic`: programs elsewhere import the rest.
      test: (id) =>
        !/^(testing|NodeAnthropic|PersistedAnswers|wire\/(undiciFetch|ambientFetch|contentEncoding)$)/
          .test(within(src, id) ?? within(effect, id) ?? "testing")
    }]
  }
})
// Another version of Effect may need more of itself than users can import. Then this throws.
for (const chunk of output) {
  if (chunk.type !== "chunk") continue
  for (const [, id = ""] of chunk.code.matchAll(/ from "(effect\/[^"]+)"/g)) import.meta.resolve(id)
}
