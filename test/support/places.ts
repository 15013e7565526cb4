/** Places in values: paths that are written with dots, all paths of a value, and the value with something else at one. */

export type Path = ReadonlyArray<string | number>

/** A path that is written with dots: what is a number there is an index. */
export const pathOf = (path: string): Path =>
  path === "" ? [] : path.split(".").map((key) => /^\d+$/.test(key) ? Number(key) : key)

/** All places in a value, so many steps deep. */
export const places = (
  value: unknown,
  depth = Infinity,
  path: ReadonlyArray<string> = []
): ReadonlyArray<ReadonlyArray<string>> =>
  path.length > depth || typeof value !== "object" || value === null
    ? [path]
    : [path, ...Object.entries(value).flatMap(([key, inner]) => places(inner, depth, [...path, key]))]

/** The same value with something else in one place. */
export const put = (value: unknown, [key, ...path]: ReadonlyArray<string>, other: unknown): unknown =>
  key === undefined
    ? other
    : Array.isArray(value)
    ? value.map((inner, i) => String(i) === key ? put(inner, path, other) : inner)
    : Object.fromEntries(
      Object.entries(value as object).map(([name, inner]) => [name, name === key ? put(inner, path, other) : inner])
    )
