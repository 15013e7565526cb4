/** Removes what a build made, so that nothing of an earlier one is packed. */
import * as fs from "node:fs"
import * as path from "node:path"

fs.rmSync(path.resolve(import.meta.dirname, "../dist"), { recursive: true, force: true })
