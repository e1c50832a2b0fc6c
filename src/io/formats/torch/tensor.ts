import { formatShape } from "../../../core/shape.ts";
import type { BinaryFile } from "../../files/binary_file.ts";
import { damaged, quote } from "../../files/errors.ts";
import { blockOf, type ElementDType, isElementDType, tensorBytes } from "../stored_dtype.ts";
import { expectName, isCount, isCountList, type StoredTensor } from "../stored_tensor.ts";
import { kind, type PickleFunction, type PickleRules } from "./pickle.ts";

/** An element type, or "untyped" for a storage that counts bytes and leaves the type to its tensors. */
export type StorageType = ElementDType | "untyped";

/** The class of a storage, as the global torch.FloatStorage. */
class StorageClass {
  constructor(readonly type: StorageType) {}
}

/** A range of bytes that tensors share. */
export class TorchStorage {
  /** Made from the parts of a persistent id. */
  constructor(
    /** Its name in the file. */
    readonly key: string,
    /** The type of its elements. */
    readonly type: StorageType,
    /** Elements of the whole storage. */
    readonly elements: number,
    /** First byte that may be used: old torch saved views of storages. */
    readonly begin: number,
    /** End of the bytes that may be used. */
    readonly end: number,
  ) {}

  /** Bytes of the whole storage. */
  get bytes(): number {
    return this.elements * widthOf(this.type);
  }
}

/** A tensor as torch rebuilds it: a view of a storage. */
class TorchTensor {
  /** Made from the arguments of torch's rebuilding functions. */
  constructor(
    /** Has its elements. */
    readonly storage: TorchStorage,
    /** The type of its elements. */
    readonly dtype: ElementDType,
    /** Elements of the storage before the first one. */
    readonly offset: number,
    /** Sizes of its axes. */
    readonly shape: readonly number[],
    /** Strides of its axes, in elements. */
    readonly strides: readonly number[],
  ) {}
}

const storageClasses: [string, ElementDType][] = [
  ["BoolStorage", "BOOL"],
  ["ByteStorage", "U8"],
  ["CharStorage", "I8"],
  ["ShortStorage", "I16"],
  ["IntStorage", "I32"],
  ["LongStorage", "I64"],
  ["HalfStorage", "F16"],
  ["BFloat16Storage", "BF16"],
  ["FloatStorage", "F32"],
  ["DoubleStorage", "F64"],
];

/** Types without a storage class of their own; the tensor names them. */
const dtypes: [string, ElementDType][] = [
  ["torch.uint16", "U16"],
  ["torch.uint32", "U32"],
  ["torch.uint64", "U64"],
  ["torch.float8_e4m3fn", "F8_E4M3"],
  ["torch.float8_e5m2", "F8_E5M2"],
];

/** Rules whose persistent ids are storages. */
export interface TorchRules extends PickleRules {
  /** The storage that a persistent id stands for. */
  persistent(id: unknown): TorchStorage;
}

/**
 * Names of what training saves besides weights: states of Lightning's callbacks, configs, numpy's numbers,
 * devices, dtypes, sets, counters, paths and dates. Nothing is made of them.
 */
const LEFT_BY_TRAINING = new RegExp(
  `^(?:${
    [
      "_codecs\\.encode",
      "argparse\\.Namespace",
      "collections\\.(?:defaultdict|Counter|deque)",
      "(?:builtins|__builtin__)\\.(?:set|frozenset|bytearray|complex|range|slice)",
      "torch\\.(?:device|bool|u?int8|int16|int32|int64|b?float16|float32|float64|complex64|complex128)",
      "torch\\.torch_version\\.TorchVersion",
      "(?:datetime|pathlib|numpy|omegaconf|pytorch_lightning|lightning)\\..+",
    ].join("|")
  })$`,
);

/** The few names that the pickle of a state dict may use; all others are refused. */
export function torchRules(path: string): TorchRules {
  const functions: [string, PickleFunction][] = [
    ["collections.OrderedDict", ([items = []]) => orderedDict(items, path)],
    ["torch.Size", ([shape]) => shape],
    ["torch._utils._rebuild_parameter", ([tensor]) => tensor],
    ["torch._utils._rebuild_tensor", ([storage, ...view]) => rebuild(storage, typeOf(storage), view, path)],
    [
      "torch._utils._rebuild_tensor_v2",
      ([storage, ...view]) => rebuild(storage, typeOf(storage), view, path),
    ],
    [
      "torch._utils._rebuild_tensor_v3",
      ([storage, offset, shape, strides, _grad, _hooks, dtype]) =>
        rebuild(storage, dtype, [offset, shape, strides], path),
    ],
  ];
  const storages = storageClasses.flatMap(([name, dtype]): [string, StorageClass][] => {
    const type = new StorageClass(dtype);
    return [[`torch.${name}`, type], [`torch.cuda.${name}`, type]];
  });
  const untyped: [string, StorageClass] = ["torch.storage.UntypedStorage", new StorageClass("untyped")];
  return {
    globals: new Map<string, unknown>([...functions, ...storages, untyped, ...dtypes]),
    inert: LEFT_BY_TRAINING,
    persistent: (id) => parseStorage(id, path),
  };
}

function orderedDict(items: unknown, path: string): Map<unknown, unknown> {
  if (!Array.isArray(items) || !items.every((item) => Array.isArray(item) && item.length === 2)) {
    throw damaged(path, "pairs for an OrderedDict in its pickle", kind(items));
  }
  return new Map(items);
}

/** A persistent id: ("storage", class, key, device, elements), in old files with (key, begin, length). */
function parseStorage(id: unknown, path: string): TorchStorage {
  const [tag, storageClass, key, _device, elements, view = null] = Array.isArray(id) ? id : [];
  const range = view === null ? [0, elements] : Array.isArray(view) ? view.slice(1) : undefined;
  if (
    tag !== "storage" || !(storageClass instanceof StorageClass) || typeof key !== "string" ||
    !isCount(elements) || !isCountList(range) || range.length !== 2
  ) {
    throw damaged(path, "the id of a storage in its pickle", kind(id));
  }
  const [begin, length] = range;
  if (begin + length > elements) {
    throw damaged(
      path,
      `a view within the ${elements} elements of storage ${quote(key)}`,
      `${length} from ${begin}`,
    );
  }
  const { type } = storageClass;
  return new TorchStorage(key, type, elements, begin * widthOf(type), (begin + length) * widthOf(type));
}

function widthOf(type: StorageType): number {
  return type === "untyped" ? 1 : blockOf(type).bytes;
}

function typeOf(storage: unknown): unknown {
  return storage instanceof TorchStorage ? storage.type : undefined;
}

function rebuild(storage: unknown, dtype: unknown, view: unknown[], path: string): TorchTensor {
  const [offset, shape, strides] = view;
  if (
    !(storage instanceof TorchStorage) || !isElementDType(dtype) || !isCount(offset) ||
    !isCountList(shape) || !isCountList(strides) || shape.length !== strides.length
  ) {
    const got = [storage, dtype, offset, shape, strides].map(kind).join(", ");
    throw damaged(path, "a storage, its type, offset, shape and strides for a tensor in its pickle", got);
  }
  return new TorchTensor(storage, dtype, offset, shape, strides);
}

/**
 * The tensors of a state dict, which a training checkpoint has under "state_dict". Those of dicts in it have the names
 * of both, joined by a dot, as in files of IP-Adapters and of textual inversion.
 */
export function stateDict(value: unknown, path: string): Map<string, TorchTensor> {
  const inner = value instanceof Map ? value.get("state_dict") : undefined;
  const dict = inner instanceof Map ? inner : value;
  const tensors = dict instanceof Map ? tensorsIn(dict, path) : undefined;
  if (tensors?.size) return tensors;
  const got = tensors ? "a dict without tensors" : dict instanceof TorchTensor ? "a tensor" : kind(dict);
  throw new TypeError(
    `Cannot load ${path}: expected a state dict, got ${got}; save a dict of tensors by their names`,
  );
}

const DEEPEST = 3; // dicts within dicts
const MOST = 2 ** 18; // entries in all dicts: one that stands in several places counts in each

function tensorsIn(dict: Map<unknown, unknown>, path: string): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  let entries = 0;
  const visit = (dict: Map<unknown, unknown>, prefix: string, depth: number) => {
    entries += dict.size;
    if (entries > MOST) throw damaged(path, `at most ${MOST} entries in the dicts of its pickle`, "more");
    for (const [key, entry] of dict) {
      if (typeof key !== "string") continue;
      const name = prefix + key;
      if (entry instanceof TorchTensor) {
        expectName(name, path);
        tensors.set(name, entry);
      } else if (entry instanceof Map && depth < DEEPEST) {
        visit(entry, `${name}.`, depth + 1);
      }
    }
  };
  visit(dict, "", 0);
  return tensors;
}

/** Numbers and strings that a file has besides dicts of tensors, such as "global_step" or "name". */
export function notesBeside(value: unknown): Map<string, string> {
  if (!(value instanceof Map)) return new Map();
  const notes = [...value].filter(([, entry]) => typeof entry === "number" || typeof entry === "string");
  return new Map(notes.map(([name, entry]) => [`${name}`, `${entry}`]));
}

/** Checks that a tensor's elements lie in its storage, whose first byte is at `start` in the file. */
export function locateTensor(
  file: BinaryFile,
  name: string,
  tensor: TorchTensor,
  start: number,
): StoredTensor {
  const { storage, dtype, shape, strides } = tensor;
  const bytes = tensorBytes(shape, dtype);
  if (bytes === undefined) {
    throw damaged(
      file.path,
      `the bytes of ${quote(name)} to be less than 2^53`,
      `shape ${formatShape(shape)}`,
    );
  }
  const width = blockOf(dtype).bytes;
  const begin = storage.begin + tensor.offset * width;
  const span = bytes === 0
    ? 0
    : (1 + shape.reduce((sum, n, axis) => sum + (n - 1) * strides[axis]!, 0)) * width;
  if (begin + span > storage.end) {
    throw damaged(
      file.path,
      `${quote(name)} to lie in the ${storage.end} bytes of storage ${quote(storage.key)}`,
      `${span} bytes from ${begin}`,
    );
  }
  return { name, dtype, shape, bytes, places: [{ file, offset: start + begin, shape, strides }] };
}
