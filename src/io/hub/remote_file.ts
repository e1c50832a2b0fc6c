import { BinaryFile, type ByteSource } from "../files/binary_file.ts";
import type { HubRepo } from "./repo.ts";

const HEAD = 1 << 18; // bytes asked for first: most headers lie in them

/** Opens a file on the hub: what is read of it comes by requests for a range of bytes, nothing is kept. */
export async function openRemoteFile(hub: HubRepo, commit: string, file: string): Promise<BinaryFile> {
  const head = await hub.range(commit, file, 0, HEAD);
  const source: ByteSource = {
    async fill(offset, target) {
      const end = offset + target.length;
      const isKnown = end <= head.bytes.length;
      target.set(
        isKnown
          ? head.bytes.subarray(offset, end)
          : (await hub.range(commit, file, offset, target.length)).bytes,
      );
    },
    close() {},
  };
  return new BinaryFile(source, `${file} of ${hub.name}`, head.size);
}
