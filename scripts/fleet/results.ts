import { join } from "node:path";
import { expectWritable, writeWholeFile } from "../../src/io/files/whole_file.ts";

/** A place where pictures are put, each under its name, whole or not at all. */
export interface Results {
  /** True if a picture is there. */
  has(file: string): Promise<boolean>;
  /** Puts a picture; one of the same name is replaced. */
  put(file: string, png: Uint8Array): Promise<void>;
}

/** Opens a folder, or `s3://BUCKET/PREFIX`. Throws where nothing can be put there. */
export async function openResults(place: string): Promise<Results> {
  if (!place.startsWith("s3://")) return await Folder.open(place);
  const { Bucket } = await import("./bucket.ts"); // with Amazon's client, which others need not load
  return await Bucket.open(place);
}

/** A folder of this machine, or of a network. */
class Folder implements Results {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  static async open(path: string): Promise<Folder> {
    try {
      await Deno.mkdir(path, { recursive: true });
    } catch (cause) {
      throw new Error(`Cannot take --out ${path}: ${(cause as Error).message.split("\n")[0]}`, { cause });
    }
    expectWritable(join(path, "picture.png"), `take --out ${path}`);
    return new Folder(path);
  }

  async has(file: string): Promise<boolean> {
    try {
      return (await Deno.stat(join(this.#path, file))).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  async put(file: string, png: Uint8Array): Promise<void> {
    await writeWholeFile(join(this.#path, file), png);
  }
}
