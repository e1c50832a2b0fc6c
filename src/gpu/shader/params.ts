/** A member of a uniform struct: its name, WGSL type and value. */
export type Field = readonly [name: string, type: "u32" | "i32" | "f32", value: number];

/** The struct's members, one a line. */
export function structBody(fields: readonly Field[]): string {
  return fields.map(([name, type]) => `  ${name}: ${type},`).join("\n");
}

/** The struct's bytes; every member takes 4. */
export function packFields(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const data = new DataView(new ArrayBuffer(Math.max(16, Math.ceil(fields.length / 4) * 16)));
  fields.forEach(([, type, value], i) => {
    if (type === "f32") data.setFloat32(i * 4, value, true);
    else data.setInt32(i * 4, value | 0, true); // u32 wraps: offsets may be negative
  });
  return new Uint8Array(data.buffer);
}

/** Members of the `struct Params` of a WGSL text, in order; none where it has no such struct. */
export function paramFields(wgsl: string): readonly (readonly [name: string, type: Field[1]])[] {
  const known = members.get(wgsl);
  if (known) return known;
  const fields = structFields(wgsl, "Params");
  members.set(wgsl, fields);
  return fields;
}

/** Members of a struct of 4-byte numbers in a WGSL text, in order; none where there is no such struct. */
export function structFields(wgsl: string, struct: string): (readonly [name: string, type: Field[1]])[] {
  const body = new RegExp(`struct\\s+${struct}\\s*\\{([^}]*)\\}`).exec(wgsl)?.[1] ?? "";
  const code = body.replaceAll(/\/\/.*$/gm, "");
  return code.split(",").map((member) => member.trim()).filter(Boolean).map((member) => {
    const [, name, type] = /^(\w+)\s*:\s*(u32|i32|f32)$/.exec(member) ?? [];
    if (name) return [name, type as Field[1]] as const;
    throw new TypeError(`Cannot use struct ${struct}: expected members of u32, i32 or f32, got "${member}"`);
  });
}

/** A struct's members with their values, from its bytes as `packFields` writes them. */
export function unpackFields(wgsl: string, struct: string, bytes: Uint8Array<ArrayBuffer>): Field[] {
  const data = new DataView(bytes.buffer, bytes.byteOffset);
  const read = { u32: "getUint32", i32: "getInt32", f32: "getFloat32" } as const;
  return structFields(wgsl, struct).map(([name, type], i) => [name, type, data[read[type]](4 * i, true)]);
}

const members = new Map<string, readonly (readonly [string, Field[1]])[]>();

/** Packs values for the `struct Params` of a WGSL text, by name. Throws where the names differ. */
export function packParams(
  kernel: string,
  wgsl: string,
  values: Readonly<Record<string, number>>,
): Uint8Array<ArrayBuffer> {
  const fields = paramFields(wgsl);
  const surplus = Object.keys(values).find((name) => !fields.some(([field]) => field === name));
  if (surplus) throw new Error(`Cannot run ${kernel}: its Params lack "${surplus}"`);
  return packFields(fields.map(([name, type]) => {
    if (!(name in values)) throw new Error(`Cannot run ${kernel}: no value for "${name}" of its Params`);
    return [name, type, values[name]!];
  }));
}
