/** Paths in values: parses a path, lists the paths in a value, and replaces the value at a path. */

export type Path = ReadonlyArray<string | number>

/** Parses a path with dots; a number is an index. */
export const pathOf = (path: string): Path =>
  path === "" ? [] : path.split(".").map((key) => /^\d+$/.test(key) ? Number(key) : key)

/** All paths in a value, to a depth. */
export const places = (
  value: unknown,
  depth = Infinity,
  path: ReadonlyArray<string> = []
): ReadonlyArray<ReadonlyArray<string>> =>
  path.length > depth || typeof value !== "object" || value === null
    ? [path]
    : [path, ...Object.entries(value).flatMap(([key, inner]) => places(inner, depth, [...path, key]))]

/** The value with one place replaced. */
export const put = (value: unknown, [key, ...path]: ReadonlyArray<string>, other: unknown): unknown =>
  key === undefined
    ? other
    : Array.isArray(value)
    ? value.map((inner, i) => String(i) === key ? put(inner, path, other) : inner)
    : Object.fromEntries(
      Object.entries(value as object).map(([name, inner]) => [name, name === key ? put(inner, path, other) : inner])
    )
