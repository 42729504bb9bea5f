/** What a parsed JSON object is to code that does not know its kind. */
export type JsonObject = Record<string, unknown>;

/** Sets what is absent only. */
export function fill(target: JsonObject, defaults: Readonly<JsonObject>): void {
  for (const [key, value] of Object.entries(defaults)) if (target[key] === undefined) target[key] = value;
}
