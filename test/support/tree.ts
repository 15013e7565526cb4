/** A recursive schema. */
import { Schema } from "effect"

export interface Tree {
  readonly name: string
  readonly children: ReadonlyArray<Tree>
}
export const Tree: Schema.Codec<Tree> = Schema.Struct({
  name: Schema.String,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
})
