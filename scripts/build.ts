/**
 * Builds the package into `dist`, or into the folder that the argument names.
 *
 * The code is bundled into a few chunks, and the modules that users import only re-export from the chunks: at start-up, a
 * program would spend more time on finding and opening sixty files than on compiling them. The index modules stay as
 * `tsc` writes them, so that the bundler of an application can drop unused exports.
 *
 * Doc comments are only in the declarations, because a program also spends time on reading its code. One module of Effect
 * is bundled, because it imports all of `effect/ai` for one function of three lines, which took two fifths of the time to
 * import the package (`node bench/import.ts`).
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

/** The modules with a lower-case name that users import or run. */
const entries = ["index", "testing/index", "testing/cli"]
const files = fs.readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replace(/\.ts$/, ""))
/** Private modules have a lower-case name. Their code is in the chunks. */
const internal = files.filter((file) => /^[a-z]/.test(path.basename(file)) && !entries.includes(file))
for (const file of internal) fs.rmSync(path.join(dist, `${file}.js`))

const effect = path.dirname(fileURLToPath(import.meta.resolve("effect")))
fs.mkdirSync(path.join(dist, "chunks"))
fs.copyFileSync(path.join(effect, "../LICENSE"), path.join(dist, "chunks/effect.LICENSE"))

/** The module of Effect that is bundled, and the modules of Effect that are bundled with it. */
const taken = "ai/AnthropicStructuredOutput"
const parts = [taken, "ai/Tool", "ai/internal/structured-output", "internal/record"]

/** The path of a file relative to a folder, without its extension; undefined if the file is not in the folder. */
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
      // Leaves out the modules that need Node or undici: programs on other runtimes import the core chunk.
      test: (id) =>
        !/^(testing|NodeAnthropic|PersistedAnswers|wire\/(undiciFetch|ambientFetch|contentEncoding)$)/
          .test(within(src, id) ?? within(effect, id) ?? "testing")
    }]
  }
})
// Throws if a chunk imports a module that Effect does not export, as may happen after an update of Effect.
for (const chunk of output) {
  if (chunk.type !== "chunk") continue
  for (const [, id = ""] of chunk.code.matchAll(/ from "(effect\/[^"]+)"/g)) import.meta.resolve(id)
}
