/** A page in headless Chromium, by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/). */

import { until } from "./until.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Path of a Chromium on this machine; undefined where there is none. */
export function findChromium(): string | undefined {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  return NAMES.flatMap((name) => folders.map((folder) => `${folder}/${name}`)).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** What a page looks like. */
export interface Look {
  readonly width: number;
  readonly height: number;
  readonly scheme?: "light" | "dark";
}

/** A place in pixels. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

/** An open page; close it before its file goes away. */
export class BrowserPage implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #socket: WebSocket;
  readonly #profile: string;
  readonly #answers = new Map<number, (answer: { result?: unknown; error?: { message: string } }) => void>();
  #session: string | undefined;
  #count = 0;
  /** Called when a page is loaded. */
  #loaded = () => {};
  /** Messages that the page wrote to its console, and its errors. */
  readonly messages: string[] = [];
  /** Addresses that it asked for. */
  readonly requests: string[] = [];

  private constructor(process: Deno.ChildProcess, socket: WebSocket, profile: string) {
    this.#process = process;
    this.#socket = socket;
    this.#profile = profile;
    socket.addEventListener("message", ({ data }) => this.#receive(JSON.parse(data)));
  }

  /** Opens the page of an address. */
  static async open(chromium: string, address: string, look: Look): Promise<BrowserPage> {
    const profile = await Deno.makeTempDir();
    const process = new Deno.Command(chromium, {
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        `--user-data-dir=${profile}`,
        "about:blank",
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const socket = new WebSocket(await addressIn(profile));
    await new Promise((open) => socket.addEventListener("open", open, { once: true }));
    const page = new BrowserPage(process, socket, profile);
    const { targetInfos } = await page.#send("Target.getTargets");
    const { targetId } = targetInfos.find(({ type }: { type: string }) => type === "page");
    page.#session = (await page.#send("Target.attachToTarget", { targetId, flatten: true })).sessionId;
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.#send(`${domain}.enable`);
    await page.show(look);
    await page.#send("Page.navigate", { url: address });
    await page.until("document.readyState === 'complete'");
    return page;
  }

  /** Runs a script in front of the page's own from the next time on that it is opened. */
  async runBefore(source: string): Promise<void> {
    await this.#send("Page.addScriptToEvaluateOnNewDocument", { source });
  }

  /** Opens the page again. */
  async reload(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#loaded = resolve;
    await this.#send("Page.reload");
    await promise;
  }

  /** Sets the window's size and the colour scheme that the user wants. */
  async show({ width, height, scheme = "light" }: Look): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: width < 600 };
    await this.#send("Emulation.setDeviceMetricsOverride", metrics);
    await this.#send("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: scheme }],
    });
  }

  /** Value of an expression in the page. */
  async value<Value>(expression: string): Promise<Value> {
    const options = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.#send("Runtime.evaluate", options);
    if (exceptionDetails) {
      throw new Error(`Cannot evaluate ${expression}: ${exceptionDetails.exception?.description}`);
    }
    return result.value;
  }

  /** Waits until an expression is true in the page. */
  async until(expression: string): Promise<void> {
    await until(
      () => this.value<boolean>(`Boolean(${expression})`),
      `${expression.slice(0, 200)} in the page`,
    );
  }

  /** Clicks in the middle of the first element of a selector, or at a place within it. */
  async click(selector: string, at?: Place): Promise<void> {
    await this.drag(selector, at, { x: 0, y: 0 });
  }

  /** Drags by some pixels, from the middle of an element or from a place within it. */
  async drag(selector: string, at: Place | undefined, by: Place): Promise<void> {
    const { x, y } = await this.#placeIn(selector, at);
    const event = { button: "left", clickCount: 1 };
    const to = { x: x + by.x, y: y + by.y };
    await this.#send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
    await this.#send("Input.dispatchMouseEvent", { type: "mousePressed", x, y, ...event });
    if (by.x || by.y) {
      await this.#send("Input.dispatchMouseEvent", { type: "mouseMoved", ...to, buttons: 1, ...event });
    }
    await this.#send("Input.dispatchMouseEvent", { type: "mouseReleased", ...to, ...event });
  }

  /** Turns the wheel up over an element or a place within it, perhaps with ctrl. */
  async wheel(selector: string, at: Place | undefined, withCtrl: boolean): Promise<void> {
    const place = await this.#placeIn(selector, at);
    const modifiers = withCtrl ? 2 : 0;
    await this.#send("Input.dispatchMouseEvent", {
      type: "mouseWheel",
      ...place,
      deltaX: 0,
      deltaY: -120,
      modifiers,
    });
  }

  /** A place of the window, where an element is brought to. */
  async #placeIn(selector: string, at?: Place): Promise<Place> {
    const element = `document.querySelector(${JSON.stringify(selector)})`;
    await this.value(`${element}.scrollIntoView({ block: "center" })`);
    const box = await this.value<DOMRect>(`${element}.getBoundingClientRect().toJSON()`);
    return { x: box.x + (at?.x ?? box.width / 2), y: box.y + (at?.y ?? box.height / 2) };
  }

  /** Presses a key, e.g. "Enter", "ArrowDown" or "+", perhaps with others held. */
  async press(key: string, held: { readonly ctrl?: boolean; readonly shift?: boolean } = {}): Promise<void> {
    const modifiers = (held.ctrl ? 2 : 0) + (held.shift ? 8 : 0);
    const event = {
      key,
      modifiers,
      ...key.length === 1 && { text: key },
      ...key === "Enter" && { text: "\r" },
      ...key === "Escape" && { windowsVirtualKeyCode: 27 }, // else it closes no dialog
    };
    await this.#send("Input.dispatchKeyEvent", { type: "keyDown", ...event });
    await this.#send("Input.dispatchKeyEvent", { type: "keyUp", key });
  }

  /** Types into what has the focus. */
  async type(text: string): Promise<void> {
    await this.#send("Input.insertText", { text });
  }

  /** A PNG of what is in the window, or of the whole page. */
  async picture(isWhole = false): Promise<Uint8Array> {
    const { data } = await this.#send("Page.captureScreenshot", { captureBeyondViewport: isWhole });
    return Uint8Array.fromBase64(data);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#send("Browser.close");
    await this.#process.status;
    this.#socket.close();
    const remove = () => Deno.remove(this.#profile, { recursive: true }).then(() => true, () => false);
    await until(remove, `${this.#profile} to go`); // its own processes may still write there
  }

  // deno-lint-ignore no-explicit-any -- the protocol has hundreds of methods
  #send(method: string, params: object = {}): Promise<any> {
    const id = ++this.#count;
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    this.#socket.send(JSON.stringify({ id, method, params, ...session }));
    return new Promise((resolve, reject) => {
      this.#answers.set(id, ({ result, error }) => {
        if (error) reject(new Error(`Cannot do ${method}: ${error.message}`));
        else resolve(result);
      });
    });
  }

  // deno-lint-ignore no-explicit-any -- as above
  #receive({ id, method, params, ...answer }: any): void {
    if (id !== undefined) this.#answers.get(id)?.(answer);
    this.#answers.delete(id);
    if (method === "Page.loadEventFired") this.#loaded();
    if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
    if (method === "Log.entryAdded") this.messages.push(params.entry.text);
    if (method === "Runtime.exceptionThrown") {
      const { text, exception } = params.exceptionDetails;
      this.messages.push(exception?.description ?? text);
    }
  }
}

/** Address at which a browser is spoken to: it writes it to its folder. */
async function addressIn(profile: string): Promise<string> {
  return await until(async () => {
    const text = await Deno.readTextFile(`${profile}/DevToolsActivePort`).catch(() => "");
    const [port, path] = text.split("\n");
    return path ? `ws://127.0.0.1:${port}${path}` : undefined;
  }, "the address of Chromium");
}
