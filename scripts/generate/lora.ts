/** A LoRA as `--lora PATH_OR_REPO[:scale]` names it. */
interface NamedLora {
  path: string;
  scale: number;
}

/** Reads `PATH_OR_REPO[:scale]`; a scale is 1 where none is given. */
export function readLora(text: string): NamedLora {
  const [, path, scale = "1"] = /^(.+?)(?::([^:/\\]*))?$/.exec(text) ?? [];
  if (path && scale.trim() !== "" && Number.isFinite(Number(scale))) return { path, scale: Number(scale) };
  throw new TypeError("expected PATH_OR_REPO or PATH_OR_REPO:0.8");
}
