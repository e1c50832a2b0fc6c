import { BinaryFile, type ByteSource } from "../binary_file.ts";
import type { HubRepo } from "./repo.ts";

const HEAD = 1 << 18; // bytes asked for first: most headers lie in them

/** Opens a file on the hub: what is read of it comes by requests for a range of bytes, nothing is kept. */
export async function openRemoteFile(hub: HubRepo, commit: string, file: string): Promise<BinaryFile> {
  const head = await hub.range(commit, file, 0, HEAD);
  const source: ByteSource = {
    async read(offset, length) {
      if (offset + length <= head.bytes.length) return head.bytes.slice(offset, offset + length);
      return (await hub.range(commit, file, offset, length)).bytes;
    },
    close() {},
  };
  return new BinaryFile(source, `${file} of ${hub.name}`, head.size);
}
