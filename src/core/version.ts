import project from "../../deno.json" with { type: "json" };

/** Denoise's version, which is written into files of pictures. */
export const version: string = project.version;
