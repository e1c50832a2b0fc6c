import type { PageRequest } from "./request.ts";
import type { DrawnPicture } from "./server.ts";

/** A picture that this browser keeps, with the request that draws it again. */
export interface PictureRecord extends DrawnPicture {
  /** Its place in the order of time. */
  readonly id: number;
  /** In milliseconds since 1970. */
  readonly created: number;
  readonly request: PageRequest;
  /** A small picture for the gallery; none where an older page kept it. */
  readonly small?: Blob;
  /** From its first step on; likewise. */
  readonly seconds?: number;
}

/** What another tab of the browser kept or forgot. */
export interface RecordChange {
  readonly added?: PictureRecord;
  readonly removed?: number;
}

/** Keeps pictures, from the newest to the oldest. */
export interface Records {
  /** Told of what other tabs keep and forget. */
  onChange: ((change: RecordChange) => void) | undefined;
  /** Keeps a picture. */
  add(record: Omit<PictureRecord, "id">): Promise<PictureRecord>;
  /** The newest pictures, at most so many, of those before one. */
  before(id: number, most: number): Promise<PictureRecord[]>;
  /** Forgets a picture. */
  remove(id: number): Promise<void>;
}

/** The pictures in this page alone, where the browser keeps none. */
export class PassingRecords implements Records {
  onChange = undefined;
  readonly #all: PictureRecord[] = [];

  /** Keeps a picture. */
  add(record: Omit<PictureRecord, "id">): Promise<PictureRecord> {
    const kept = { ...record, id: (this.#all[0]?.id ?? 0) + 1 };
    this.#all.unshift(kept);
    return Promise.resolve(kept);
  }

  /** The newest pictures, at most so many, of those before one. */
  before(id: number, most: number): Promise<PictureRecord[]> {
    return Promise.resolve(this.#all.filter((record) => record.id < id).slice(0, most));
  }

  /** Forgets a picture. */
  remove(id: number): Promise<void> {
    this.#all.splice(this.#all.findIndex((record) => record.id === id), 1);
    return Promise.resolve();
  }
}

const STORE = "pictures";

/** The pictures in this browser's IndexedDB. */
export class StoredRecords implements Records {
  onChange: ((change: RecordChange) => void) | undefined;
  readonly #database: IDBDatabase;
  readonly #others = new BroadcastChannel("denoise");

  private constructor(database: IDBDatabase) {
    this.#database = database;
    this.#others.addEventListener("message", ({ data }) => this.onChange?.(data));
  }

  /** Opens the database, and makes it where there is none. Throws where the browser has none for this page. */
  static async open(): Promise<Records> {
    const opening = indexedDB.open("denoise", 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(STORE, { keyPath: "id", autoIncrement: true });
    };
    return new StoredRecords(await resultOf(opening));
  }

  /** Keeps a picture. */
  async add(record: Omit<PictureRecord, "id">): Promise<PictureRecord> {
    try {
      const transaction = this.#database.transaction(STORE, "readwrite");
      const adding = transaction.objectStore(STORE).add(record);
      await new Promise((resolve, reject) => { // a full disk is told at the end
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
      const added = { ...record, id: Number(adding.result) };
      this.#others.postMessage({ added } satisfies RecordChange);
      return added;
    } catch {
      throw new Error("Cannot keep the picture: this browser has no room for it; save it, and delete others");
    }
  }

  /** The newest pictures, at most so many, of those before one. */
  async before(id: number, most: number): Promise<PictureRecord[]> {
    const found: PictureRecord[] = [];
    const range = IDBKeyRange.upperBound(id, true);
    const search = this.#store("readonly").openCursor(range, "prev");
    return await new Promise((resolve, reject) => {
      search.onerror = () => reject(search.error);
      search.onsuccess = () => {
        const cursor = search.result;
        if (cursor) found.push(cursor.value);
        if (cursor && found.length < most) cursor.continue();
        else resolve(found);
      };
    });
  }

  /** Forgets a picture. */
  async remove(id: number): Promise<void> {
    await resultOf(this.#store("readwrite").delete(id));
    this.#others.postMessage({ removed: id } satisfies RecordChange);
  }

  #store(mode: IDBTransactionMode): IDBObjectStore {
    return this.#database.transaction(STORE, mode).objectStore(STORE);
  }
}

function resultOf<Result>(request: IDBRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
