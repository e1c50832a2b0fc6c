import { damaged, quote } from "../../files/errors.ts";

const maxValues = 2 ** 20; // on the stack and in the memo: far above any checkpoint, far below memory
const maxDigits = 64; // of an integer; torch's longest has 24

/** A function that a pickle may call, with the pickle's tuple of arguments. */
export type PickleFunction = (args: readonly unknown[]) => unknown;

/** The names that a pickle may use, and what they stand for. Others are refused, and no code is run. */
export interface PickleRules {
  /** Functions (PickleFunction) that may be called and values that may be used, by "module.name". */
  readonly globals: ReadonlyMap<string, unknown>;
  /** Names of classes that a pickle may use though nothing is made of their objects, which become Inert. */
  readonly inert?: RegExp | undefined;
  /** Reads a persistent id: in torch files, that of a storage. */
  persistent(id: unknown): unknown;
}

/** Stands for an object whose contents are skipped, for its class, and for everything made with them. */
class Inert {}

/** Thrown where a pickle goes on beyond the bytes at hand. */
export class UnfinishedPickle extends SyntaxError {}

/**
 * Reads one pickle (https://docs.python.org/3/library/pickletools.html), protocols 1 to 5 as torch writes
 * them, as data: a dict becomes a Map, a list an array, a tuple a frozen array. `end` is the position behind
 * the pickle.
 */
export function unpickle(
  bytes: Uint8Array,
  start: number,
  rules: PickleRules,
  path: string,
): { value: unknown; end: number } {
  const machine = new Machine(bytes, start, rules, path);
  for (;;) {
    const code = String.fromCharCode(machine.byte());
    if (code === STOP) return { value: machine.result(), end: machine.at };
    const run = opcodes.get(code) ??
      machine.fail("opcodes that torch writes", `${quote(code)} in the pickle`);
    run(machine);
    machine.checkRoom();
  }
}

const STOP = ".";

/** The opcodes, in the order of pickletools: constants, containers, memo, globals. */
const opcodes = new Map<string, (m: Machine) => void>([
  ["\x80", (m) => m.protocol(m.byte())],
  ["\x95", (m) => m.length64()], // FRAME: tells a stream how much to read ahead
  ["N", (m) => m.push(null)],
  ["\x88", (m) => m.push(true)],
  ["\x89", (m) => m.push(false)],
  ["I", (m) => m.push(m.decimal(m.line()))],
  ["L", (m) => m.push(m.decimal(m.line().replace(/L$/, "")))],
  ["K", (m) => m.push(m.byte())],
  ["M", (m) => m.push(m.view.getUint16(m.take(2), true))],
  ["J", (m) => m.push(m.view.getInt32(m.take(4), true))],
  ["\x8a", (m) => m.push(m.integer(m.byte()))],
  ["\x8b", (m) => m.push(m.integer(m.length32()))],
  ["G", (m) => m.push(m.view.getFloat64(m.take(8)))],
  ["U", (m) => m.push(m.string(m.byte()))],
  ["\x8c", (m) => m.push(m.string(m.byte()))],
  ["T", (m) => m.push(m.string(m.length32()))],
  ["X", (m) => m.push(m.string(m.length32()))],
  ["\x8d", (m) => m.push(m.string(m.length64()))],
  ["C", (m) => m.push(m.slice(m.byte()))],
  ["B", (m) => m.push(m.slice(m.length32()))],
  ["\x8e", (m) => m.push(m.slice(m.length64()))],
  ["(", (m) => m.mark()],
  ["0", (m) => m.drop()],
  ["1", (m) => m.popMark()],
  ["]", (m) => m.push([])],
  ["l", (m) => m.push(m.popMark())],
  ["a", (m) => m.append(m.pop(1))],
  ["e", (m) => m.append(m.popMark())],
  [")", (m) => m.push(Object.freeze([]))],
  ["t", (m) => m.push(Object.freeze(m.popMark()))],
  ["\x85", (m) => m.push(Object.freeze(m.pop(1)))],
  ["\x86", (m) => m.push(Object.freeze(m.pop(2)))],
  ["\x87", (m) => m.push(Object.freeze(m.pop(3)))],
  ["}", (m) => m.push(new Map())],
  ["s", (m) => m.setItems(m.pop(2))],
  ["u", (m) => m.setItems(m.popMark())],
  ["q", (m) => m.remember(m.byte())],
  ["r", (m) => m.remember(m.length32())],
  ["\x94", (m) => m.remember(m.memo.size)],
  ["h", (m) => m.recall(m.byte())],
  ["j", (m) => m.recall(m.length32())],
  ["c", (m) => m.global([m.line(), m.line()])],
  ["\x93", (m) => m.global(m.pop(2))],
  ["Q", (m) => m.push(m.rules.persistent(m.pop(1)[0]))],
  ["R", (m) => m.call(m.pop(2))],
  ["\x81", (m) => m.construct(m.pop(2))],
  ["b", (m) => m.build(m.pop(1)[0])],
]);

/** The stack, marks and memo that opcodes work on. A value is never walked, so nesting costs no recursion. */
class Machine {
  readonly view: DataView;
  readonly memo = new Map<number, unknown>();
  #stack: unknown[] = [];
  #marks: number[] = []; // heights of the stack

  constructor(
    readonly bytes: Uint8Array,
    public at: number,
    readonly rules: PickleRules,
    readonly path: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Moves past `length` bytes and returns where they begin. */
  take(length: number): number {
    const start = this.at;
    if (length > this.bytes.length - start) {
      throw new UnfinishedPickle(
        damaged(this.path, "the rest of its pickle", "the end of the bytes").message,
      );
    }
    this.at += length;
    return start;
  }

  slice(length: number): Uint8Array {
    const start = this.take(length);
    return this.bytes.subarray(start, start + length);
  }

  byte(): number {
    return this.bytes[this.take(1)]!;
  }

  length32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  length64(): number {
    return Number(this.view.getBigUint64(this.take(8), true));
  }

  string(length: number): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.slice(length));
    } catch (error) {
      if (error instanceof UnfinishedPickle) throw error;
      this.fail("strings of its pickle in UTF-8", "other bytes");
    }
  }

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    const text = this.string((end < 0 ? this.bytes.length + 1 : end) - this.at); // past the end: unfinished
    this.at++;
    return text;
  }

  /** Protocol 1 writes booleans as 01 and 00. */
  decimal(text: string): unknown {
    if (text === "01") return true;
    if (text === "00") return false;
    if (!/^-?\d+$/.test(text) || text.length > maxDigits) this.fail("an integer in its pickle", quote(text));
    return narrow(BigInt(text));
  }

  /** Little-endian two's complement of any length. */
  integer(length: number): unknown {
    if (length > maxDigits) this.fail(`integers of at most ${maxDigits} bytes in its pickle`, `${length}`);
    const value = this.slice(length).reduceRight((sum, byte) => sum << 8n | BigInt(byte), 0n);
    return narrow(BigInt.asIntN(length * 8, value));
  }

  protocol(version: number): void {
    if (version > 5) this.fail("a pickle of protocol 5 or older", `protocol ${version}`);
  }

  push(value: unknown): void {
    this.#stack.push(value);
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  /** Takes the topmost values, none of them below a mark. */
  pop(count: number): unknown[] {
    const start = this.#stack.length - count;
    if (start < (this.#marks.at(-1) ?? 0)) this.fail("values for each opcode of its pickle", "too few");
    return this.#stack.splice(start);
  }

  popMark(): unknown[] {
    const start = this.#marks.pop() ?? this.fail("a mark on its pickle's stack", "none");
    return this.#stack.splice(start);
  }

  /** POP takes a value or, where none stands above it, the mark. */
  drop(): void {
    if (this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
    else this.pop(1);
  }

  top(): unknown {
    const [value] = this.pop(1);
    this.push(value);
    return value;
  }

  append(items: unknown[]): void {
    const list = this.top();
    if (list instanceof Inert) return;
    if (!Array.isArray(list) || Object.isFrozen(list)) {
      this.fail("a list to append to in its pickle", kind(list));
    }
    for (const item of items) list.push(item);
  }

  setItems(items: unknown[]): void {
    const map = this.top();
    if (map instanceof Inert) return;
    if (!(map instanceof Map)) this.fail("a dict to fill in its pickle", kind(map));
    if (items.length % 2 === 1) this.fail("a value for each key of its pickle", "a key without one");
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
  }

  remember(slot: number): void {
    this.memo.set(slot, this.top());
  }

  recall(slot: number): void {
    if (!this.memo.has(slot)) this.fail(`memo ${slot} of its pickle`, "none");
    this.push(this.memo.get(slot));
  }

  global(parts: unknown[]): void {
    const name = parts.map((part) => typeof part === "string" ? part : kind(part)).join(".");
    if (this.rules.inert?.test(name)) return this.push(new Inert());
    if (!this.rules.globals.has(name)) {
      throw new Error(
        `Cannot load ${this.path}: expected a pickle of tensors only, got ${quote(name)} in it; ` +
          "a pickle can run any program, so take the weights as safetensors",
      );
    }
    this.push(this.rules.globals.get(name));
  }

  call([callable, args]: unknown[]): void {
    if (callable instanceof Inert) return this.push(callable);
    if (typeof callable !== "function") this.fail("a function to call in its pickle", kind(callable));
    if (!Array.isArray(args) || !Object.isFrozen(args)) {
      this.fail("a tuple of arguments in its pickle", kind(args));
    }
    this.push((callable as PickleFunction)(args));
  }

  /** An object of a class: only those that are not looked into are made without a function. */
  construct([type]: unknown[]): void {
    if (!(type instanceof Inert)) this.fail("functions in its pickle that make objects", kind(type));
    this.push(type);
  }

  /** Attributes of a state dict, such as torch's `_metadata`, are dropped. */
  build(state: unknown): void {
    if (this.top() instanceof Inert) return;
    if (!(this.top() instanceof Map && state instanceof Map)) {
      this.fail("attributes in its pickle only on a dict", `${kind(state)} for ${kind(this.top())}`);
    }
  }

  checkRoom(): void {
    if (this.#stack.length + this.#marks.length + this.memo.size > maxValues) {
      this.fail(`a pickle of at most ${maxValues} values at a time`, "more");
    }
  }

  result(): unknown {
    const [value] = this.pop(1);
    if (this.#stack.length + this.#marks.length > 0) this.fail("one value at the end of its pickle", "more");
    return value;
  }

  fail(expected: string, got: string): never {
    throw damaged(this.path, expected, got);
  }
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The kind of a value in Python's words, without its content, which might be endless. */
export function kind(value: unknown): string {
  if (Array.isArray(value)) return Object.isFrozen(value) ? "a tuple" : "a list";
  if (value instanceof Map) return "a dict";
  if (value instanceof Inert) return "an object";
  if (typeof value === "object" && value !== null) return `a ${value.constructor.name}`;
  return typeof value === "function" ? "a function" : quote(value);
}
