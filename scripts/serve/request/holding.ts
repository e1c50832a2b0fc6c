import { RefusalError } from "./refusal.ts";

const MOST = 2 ** 30; // bytes of pictures, as they were sent and decoded, of all requests together

/** Memory for the pictures of all requests that are checked, wait, or are drawn. */
export class PictureMemory {
  #bytes = 0;

  /** Begins to count the pictures of a request, until the result is disposed. */
  begin(): Holding {
    let own = 0;
    return {
      add: (bytes) => {
        const others = this.#bytes - own;
        if (others > 0 && this.#bytes + bytes > MOST) {
          throw new RefusalError(
            "busy",
            "Cannot draw: the pictures of requests in the queue fill it; try again later",
          );
        }
        own += bytes;
        this.#bytes += bytes;
      },
      [Symbol.dispose]: () => {
        this.#bytes -= own;
        own = 0;
      },
    };
  }
}

/** The pictures of one request. */
export interface Holding extends Disposable {
  /** Counts so many bytes more. Throws a RefusalError where other requests leave no room for them. */
  add(bytes: number): void;
}
