import project from "../../deno.json" with { type: "json" };

/** Denoise's version, which pictures' files say. */
export const version: string = project.version;
