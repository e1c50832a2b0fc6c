/** Resolves the unet of a repository and prints where it lies; run by the tests in a process of its own. */
import { neededFiles } from "../../../src/io/hub/needed_files.ts";
import { resolveRepo } from "../../../src/io/hub/resolve_repo.ts";

try {
  const { folder } = await resolveRepo(Deno.args[0]!, {
    files: (listing) => neededFiles(listing, { kind: "model", subfolder: "unet" }),
  });
  console.log(folder);
} catch (error) {
  console.log((error as Error).message);
  Deno.exit(1);
}
