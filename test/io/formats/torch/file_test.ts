import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type Checkpoint, openCheckpoint } from "../../../../src/io/formats/checkpoint.ts";
import {
  directoryRecord,
  join,
  latin1,
  little,
  refusalOf,
  TestFolder,
  zip,
  zipEnd,
  type ZipPart,
} from "../../../support/files.ts";
import { torchPickles } from "./pickles.ts";

const floats = Float32Array.from({ length: 12 }, (_, i) => i);

/** The parts of a torch zip around a pickle. */
function torchParts(pickle: Uint8Array, root = "archive"): ZipPart[] {
  return [
    { name: `${root}/data.pkl`, data: pickle },
    { name: `${root}/byteorder`, data: latin1("little") },
    { name: `${root}/data/0`, data: new Uint8Array(floats.buffer) },
    { name: `${root}/data/1`, data: latin1("\x38\x40\xb8\x00") },
    { name: `${root}/version`, data: latin1("3\n") },
  ];
}

const pickle2 = Buffer.from(torchPickles[2]!, "base64");

for (const protocol of [1, 2, 4, 5]) {
  for (const zip64 of [false, true]) {
    Deno.test(`a torch zip${zip64 ? " in zip64" : ""} with a pickle of protocol ${protocol} loads`, async () => {
      using folder = new TestFolder();
      const pickle = Buffer.from(torchPickles[protocol]!, "base64");
      using checkpoint = await openCheckpoint(folder.write("x.bin", zip(torchParts(pickle), { zip64 })));
      const kinds = [...checkpoint.tensors.values()].map((
        { name, dtype, shape, bytes },
      ) => [name, dtype, shape, bytes]);
      assert.deepEqual(kinds, [
        ["plain", "F32", [3, 4], 48],
        ["shared", "F32", [4, 2], 32],
        ["old", "F32", [], 4],
        ["parameter", "F32", [2], 8],
        ["float8", "F8_E4M3", [4], 4],
      ]);
      assert.deepEqual(await readFloats(checkpoint, "plain"), [...floats]);
      assert.deepEqual(await readFloats(checkpoint, "shared"), [1, 5, 2, 6, 3, 7, 4, 8]);
      assert.deepEqual(await readFloats(checkpoint, "shared", 3, 4), [6, 3, 7, 4]);
      assert.deepEqual(await readFloats(checkpoint, "old"), [11]);
      assert.deepEqual(await readFloats(checkpoint, "parameter"), [4, 5]);
      assert.deepEqual([...await checkpoint.read(checkpoint.tensors.get("float8")!, 1, 2)], [0x40, 0xb8]);
    });
  }
}

Deno.test("the .bin of an old repository holds what its safetensors file holds", async () => {
  const ddpm = `${import.meta.dirname}/../../../fixtures/ddpm`;
  using bin = await openCheckpoint(`${ddpm}/legacy_flat_bin/diffusion_pytorch_model.bin`);
  using safetensors = await openCheckpoint(`${ddpm}/pipeline/unet/diffusion_pytorch_model.safetensors`);
  assert.equal(bin.tensors.size, safetensors.tensors.size);
  for (const info of bin.tensors.values()) {
    const newer = safetensors.tensors.get(newName(info.name))!;
    const { shape, dtype, bytes } = newer;
    assert.deepEqual([info.shape, info.dtype, info.bytes], [shape, dtype, bytes]);
    assert.deepEqual(
      await bin.read(info, 0, bytes / 4),
      await safetensors.read(newer, 0, bytes / 4),
      info.name,
    );
  }
});

function newName(name: string): string {
  const renames = { query: "to_q", key: "to_k", value: "to_v", proj_attn: "to_out.0" };
  return name.replace(
    /(?<=attentions\.\d+\.)(query|key|value|proj_attn)\b/,
    (old) => renames[old as "query"],
  );
}

Deno.test("a torch zip of more than 4 GiB is read by seeking", async () => {
  using folder = new TestFolder();
  const elements = 2 ** 30 + 1; // of the first storage: 4 GiB and 4 bytes
  const pickle = statePickle([["big", 0, elements], ["ends", 0, elements, elements - 1 - 2 ** 25, [2], [
    2 ** 25,
  ]], ["after", 1, 2]]);
  const path = folder.write("x.bin", new Uint8Array());
  using file = Deno.openSync(path, { write: true });
  const directory: Uint8Array[] = [];
  let at = 0;
  const add = (name: string, size: number, end: Uint8Array) => {
    const header = join(
      little(0x04034b50, 4),
      new Uint8Array(22),
      little(name.length, 2),
      little(0, 2),
      latin1(name),
    );
    directory.push(directoryRecord({ name, size, offset: at, zip64: true }));
    write(header);
    at += size - end.length; // a hole, which takes no room on the disk
    write(end);
  };
  const write = (bytes: Uint8Array) => {
    file.seekSync(at, Deno.SeekMode.Start);
    file.writeSync(bytes);
    at += bytes.length;
  };
  add("m/data.pkl", pickle.length, pickle);
  add("m/data/0", elements * 4, new Uint8Array(Float32Array.of(7).buffer));
  add("m/data/1", 8, new Uint8Array(Float32Array.of(8, 9).buffer));
  write(join(...directory, zipEnd(at, directory, true)));

  using checkpoint = await openCheckpoint(path);
  assert.equal(checkpoint.tensors.get("big")!.bytes, elements * 4);
  assert.deepEqual(await readFloats(checkpoint, "big", elements - 2, 2), [0, 7]);
  assert.deepEqual(await readFloats(checkpoint, "ends"), [0, 7]); // a span of 128 MiB, read in windows
  assert.deepEqual(await readFloats(checkpoint, "after"), [8, 9]);
});

Deno.test("the stream before torch 1.6 loads, with views of storages and unused storages", async () => {
  using folder = new TestFolder();
  using checkpoint = await openCheckpoint(folder.write("x.bin", legacyFile()));
  assert.deepEqual([...checkpoint.tensors.keys()], ["view"]);
  assert.deepEqual(await readFloats(checkpoint, "view"), [4, 5]);
});

Deno.test("a stream before torch 1.6 is refused where its storages do not fit", async () => {
  const file = legacyFile();
  assert.match(await refusal(file.slice(0, -4)), /expected a file of \d+ bytes/);
  assert.match(await refusal(join(file, [0])), /expected a file of \d+ bytes/);
  const length = file.length - 48 - 8; // of the storage's length, which stands before it
  assert.match(
    await refusal(join(file.slice(0, length), little(13, 8), file.slice(length + 8))),
    /12 elements.*got 13/,
  );
});

const zipProblems: [string, (parts: ZipPart[]) => ZipPart[], RegExp][] = [
  ["an entry twice", (parts) => [...parts, parts[2]!], /"archive\/data\/0" once/],
  [
    "an entry outside its folder",
    (parts) => [...parts, { name: "a/../b", data: new Uint8Array() }],
    /"a\/\.\.\/b"/,
  ],
  ["two pickles", (parts) => [...parts, { name: "b/data.pkl", data: pickle2 }], /one data\.pkl.*got 2/],
  ["no pickle", (parts) => parts.slice(1), /expected a zip of torch, got one of archive\/byteorder, /],
  ["big-endian numbers", (parts) => parts.with(1, { ...parts[1]!, data: latin1("big") }), /got big-endian/],
  [
    "a short storage",
    (parts) => parts.with(2, { ...parts[2]!, data: new Uint8Array(44) }),
    /"0" of 48 bytes.*got 44/,
  ],
  ["a compressed entry", (parts) => parts.with(4, { ...parts[4]!, method: 8 }), /got it compressed/],
];

for (const [what, change, reason] of zipProblems) {
  Deno.test(`a torch zip with ${what} is refused`, async () => {
    assert.match(await refusal(zip(change(torchParts(pickle2)))), reason);
  });
}

const pickleProblems: [string, string, RegExp][] = [
  ["another module's function", "\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.", /got "os\.system"/],
  ["a global from the stack", "\x80\x04\x8c\x02os\x8c\x06system\x93.", /got "os\.system"/],
  ["a torch function that loads code", "\x80\x02ctorch.hub\nload\n.", /got "torch\.hub\.load"/],
  ["a name of Object.prototype", "\x80\x02c\nconstructor\n.", /got "\.constructor"/],
  [
    "an object to build by class",
    "\x80\x02ccollections\nOrderedDict\n)\x81.",
    /functions in its pickle that make objects, got a function/,
  ],
  ["an instance", "\x80\x02(ios\nsystem\n.", /opcodes that torch writes/],
  ["an extension", "\x80\x02\x82\x01.", /opcodes that torch writes/],
  ["a call of a string", "\x80\x02X\x01\0\0\0a)R.", /a function to call in its pickle, got "a"/],
  ["a call with a list", "\x80\x02ccollections\nOrderedDict\n]R.", /a tuple of arguments.*got a list/],
  ["a tensor of nothing", "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", /a storage, its type/],
  ["attributes on a list", "\x80\x02]}b.", /attributes in its pickle only on a dict/],
  ["an item for a number", "\x80\x02K\x01K\x02a.", /a list to append to/],
  ["a tuple made longer", "\x80\x02)K\x02a.", /a list to append to in its pickle, got a tuple/],
  ["a key without a value", "\x80\x02}(K\x01u.", /a value for each key/],
  ["two values", "\x80\x02}}.", /one value at the end/],
  ["no value", "\x80\x02.", /too few/],
  ["a list, not a dict", "\x80\x02].", /expected a state dict, got a list; save a dict/],
  ["a dict without tensors", "\x80\x02}.", /got a dict without tensors/],
  ["a dict in very many places", bomb(60), /at most 262144 entries in the dicts of its pickle, got more/],
  ["a huge string's length", "\x80\x02X\xff\xff\xff\xffabc.", /the rest of its pickle/],
  ["a huge integer", "\x80\x02\x8b\x00\x00\x01\x00abc.", /integers of at most/],
  ["protocol 6", "\x80\x06}.", /protocol 6/],
  ["a million marks", "\x80\x02" + "(".repeat(2 ** 20 + 1) + ".", /at most 1048576 values/],
  ["nested lists that contain themselves", "\x80\x02]q\x00h\x00ah\x00a.", /got a list/],
  ["a million tuples in each other", "\x80\x02)" + "\x85".repeat(2 ** 20) + ".", /got a tuple/],
];

for (const [what, pickle, reason] of pickleProblems) {
  Deno.test(`a pickle with ${what} is refused`, async () => {
    assert.match(await refusal(zip(torchParts(latin1(pickle)))), reason);
  });
}

/** Four levels of dicts with so many keys each, all for the same dict of the level below. */
function bomb(keys: number): string {
  const level = (n: number) => {
    const items = Array.from(
      { length: keys },
      (_, i) => `U\x02${String.fromCharCode(48 + i)}xh${"\0\x01\x02\x03"[n]}`,
    );
    return `}(${items.join("")}uq${"\x01\x02\x03\x04"[n]}0`;
  };
  return `\x80\x02}q\0` + "0" + [0, 1, 2, 3].map(level).join("") + "h\x04.";
}

const tensorProblems: [string, Tensor, RegExp][] = [
  ["a view past its storage", ["t", 0, 12, 1, [3, 4], [4, 1]], /"t" to lie in the 48 bytes of storage "0"/],
  ["strides past its storage", ["t", 0, 12, 0, [2, 2], [11, 1]], /"t" to lie in/],
  ["a storage that is not there", ["t", 7, 12], /storage "7" of 48 bytes in its zip, got none/],
  ["more strides than axes", ["t", 0, 12, 0, [12], [1, 1]], /offset, shape and strides/],
  [
    "a name of 2000 letters",
    ["t".repeat(2000), 0, 12],
    /names of tensors of at most 1000 letters, got "t+… of 2000/,
  ],
  ["a shape past 2^53", ["t", 0, 12, 0, [2 ** 30, 2 ** 30], [0, 0]], /less than 2\^53/],
];

for (const [what, tensor, reason] of tensorProblems) {
  Deno.test(`a torch tensor with ${what} is refused`, async () => {
    assert.match(await refusal(zip(torchParts(statePickle([tensor])))), reason);
  });
}

Deno.test("what training saves beside the weights is passed over: devices, dtypes, sets, counters", async () => {
  const beside = [
    `${text("device")}ctorch\ndevice\n(${text("cuda")}${int(0)}tR`,
    `${text("dtype")}ctorch\nfloat16\n`,
    `${text("seen")}c__builtin__\nset\n](${int(1)}${int(2)}e\x85R`,
    `${text("counts")}ccollections\nCounter\n}${text("a")}${int(3)}s\x85R`,
    `${text("folder")}cpathlib\nPosixPath\n(${text("/")}${text("tmp")}tR`,
  ];
  const weights = Buffer.from(statePickle([["w", 0, 12]])).toString("latin1");
  const pickle = latin1(`${weights.slice(0, -2)}${beside.join("")}u.`);
  using folder = new TestFolder();
  using checkpoint = await openCheckpoint(folder.write("x.bin", zip(torchParts(pickle))));
  assert.deepEqual([...checkpoint.tensors.keys()], ["w"]);
  assert.deepEqual([...checkpoint.metadata], []);
});

Deno.test("a tensor alone is no state dict, and is told", async () => {
  const whole = Buffer.from(statePickle([["w", 0, 12]])).toString("latin1");
  const alone = latin1(`\x80\x02${whole.slice(whole.indexOf("ctorch._utils"), -2)}.`);
  assert.match(
    await refusal(zip(torchParts(alone))),
    /expected a state dict, got a tensor; save a dict of tensors/,
  );
});

Deno.test("a tensor expanded by stride 0 is gathered", async () => {
  using folder = new TestFolder();
  const pickle = statePickle([["t", 0, 12, 2, [3, 2], [0, 5]]]);
  using checkpoint = await openCheckpoint(folder.write("x.bin", zip(torchParts(pickle))));
  assert.deepEqual(await readFloats(checkpoint, "t"), [2, 7, 2, 7, 2, 7]);
});

async function readFloats(
  checkpoint: Checkpoint,
  name: string,
  first = 0,
  count?: number,
): Promise<number[]> {
  const info = checkpoint.tensors.get(name)!;
  const bytes = await checkpoint.read(info, first, count ?? info.bytes / 4);
  return [...new Float32Array(bytes.buffer)];
}

async function refusal(file: Uint8Array): Promise<string> {
  using folder = new TestFolder();
  return await refusalOf(openCheckpoint(folder.write("x.bin", file)));
}

/** Name, storage, its elements, then the view: offset, shape, strides. */
type Tensor = [string, number, number, number?, number[]?, number[]?];

/** A pickle of a state dict of F32 tensors, protocol 2. */
function statePickle(tensors: Tensor[], view?: [number, number]): Uint8Array {
  const items = tensors.map(([name, storage, elements, offset = 0, shape = [elements], strides = [1]]) => {
    const part = view ? `(${text("view")}${view.map(int).join("")}t` : "N";
    const id = `(${text("storage")}ctorch\nFloatStorage\n${text(`${storage}`)}${text("cpu")}${
      int(elements)
    }${part}tQ`;
    const layout = `${int(offset)}${tuple(shape)}${tuple(strides)}\x89ccollections\nOrderedDict\n)R`;
    return `${text(name)}ctorch._utils\n_rebuild_tensor_v2\n(${id}${layout}tR`;
  });
  return latin1(`\x80\x02}(${items.join("")}u.`);
}

function text(value: string): string {
  return `X${String.fromCharCode(...little(value.length, 4))}${value}`;
}

function int(value: number): string {
  return `\x8a\x08${String.fromCharCode(...little(value, 8))}`;
}

function tuple(values: number[]): string {
  return `(${values.map(int).join("")}t`;
}

/** A stream with a storage of 12 floats, of which a tensor views elements 4 and 5. */
function legacyFile(): Uint8Array {
  const magic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  const machine = `\x80\x02}${text("little_endian")}\x88s.`;
  const state = statePickle([["view", 0, 12, 1, [2], [1]]], [3, 3]);
  const keys = `\x80\x02]${text("0")}a.`;
  const head = join(latin1(`${magic}\x80\x02M\xe9\x03.${machine}`), state, latin1(keys));
  return join(head, little(12, 8), new Uint8Array(floats.buffer));
}
