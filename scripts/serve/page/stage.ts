import type { DrawProgress } from "../draw/drawing.ts";
import { byId, SMALL } from "./dom.ts";
import type { PictureRecord } from "./records.ts";
import { factsOf, type PageRequest } from "./request.ts";
import type { Profile } from "./server.ts";

/** The large picture: what is drawn now, or one that is kept; and how far the drawing is. */
export class Stage {
  /** The picture that is shown, or was before a preview. */
  record: PictureRecord | undefined;
  /** The request that is drawn now. */
  #drawn: PageRequest | undefined;
  /** True while what is drawn is shown, and not another picture that the user took meanwhile. */
  #isWatching = true;
  /** Address of the latest small picture of what is drawn. */
  #preview = "";
  readonly #image = byId("shown", HTMLImageElement);
  readonly #bar = byId("bar", HTMLProgressElement);
  readonly #step = byId("step", HTMLElement);
  readonly #told = byId("told", HTMLElement);
  readonly #save = byId("save", HTMLAnchorElement);
  #clock = { drawn: -1, start: 0 };

  constructor() {
    this.#image.addEventListener("load", () => {
      const isPreview = this.#image.src.startsWith("data:"); // with a pixel for each latent
      this.#image.classList.toggle("small", !isPreview && this.#image.naturalWidth < SMALL);
    });
  }

  /** Says something to those who look and to those who listen. */
  tell(...lines: readonly string[]): void {
    byId("report", HTMLElement).hidden = true;
    this.#told.classList.remove("unseen");
    this.#told.textContent = lines.join(" ");
  }

  /** Says what a step took, with a link to all that was measured. */
  showProfile({ ms, bound, url }: Profile): void {
    this.tell(`A step takes ${ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`}: ${bound}.`);
    byId("report-link", HTMLAnchorElement).href = url;
    byId("report", HTMLElement).hidden = false;
  }

  /** Says what those who look see anyway. */
  tellListeners(line: string): void {
    this.#told.classList.add("unseen");
    this.#told.textContent = line;
  }

  /** Shows that a request is drawn, until another is, or `rest`. */
  work(request: PageRequest): void {
    [this.#drawn, this.#preview] = [request, ""];
    if (this.#isWatching) this.#describe(request, request.size);
    this.#update();
    byId("report", HTMLElement).hidden = true;
    this.#bar.removeAttribute("value");
    this.#step.textContent = "";
    this.#clock = { drawn: -1, start: 0 };
  }

  /** Shows that nothing is drawn, and again the picture that was there before, unless another has come. */
  rest(): void {
    [this.#drawn, this.#isWatching] = [undefined, true];
    if (!this.record) return this.clear();
    if (this.#image.src.startsWith("blob:")) this.#describeRecord(this.record);
    else this.show(this.record);
    this.#update();
  }

  /** Shows again what is drawn. */
  watch(): void {
    this.#isWatching = true;
    if (this.#drawn) this.#describe(this.#drawn, this.#drawn.size);
    if (this.#drawn && this.#preview) this.preview(this.#preview);
    this.#update();
  }

  /** Shows how far a picture is. */
  progress(progress: DrawProgress): void {
    if (progress.phase === "drawing") {
      const { step, steps, drawn } = progress;
      this.#bar.max = steps;
      this.#bar.value = step;
      if (this.#clock.drawn !== drawn) this.#clock = { drawn, start: performance.now() };
      const left = (performance.now() - this.#clock.start) / (step - 1) * (steps - step) / 1000;
      this.#step.textContent = `${Math.round(100 * step / steps)} %` + // of the model's calls, which may be more than steps
        (step > 2 && left >= 1 ? ` · about ${timeText(left)} left` : "");
    } else if (progress.phase === "measuring") {
      this.#bar.max = 1;
      this.#bar.value = progress.part;
      this.#step.textContent = "Measuring a step";
    } else {
      this.#bar.removeAttribute("value");
      const { ahead } = progress as { ahead?: number };
      this.#step.textContent = ahead === undefined
        ? "Loading the model"
        : `Waiting: ${ahead === 1 ? "1 request" : `${ahead} requests`} before yours`;
    }
  }

  /** Shows that the server cannot be heard. */
  lose(): void {
    this.#bar.removeAttribute("value");
    this.#step.textContent = "Connection lost, trying again";
  }

  /** Takes a small picture of what is drawn, and shows it unless the user looks at another. */
  preview(address: string): void {
    this.#preview = address;
    if (this.#isWatching) this.#show(address, "A preview of the picture that is drawn now");
  }

  /** Shows a picture that is kept; while another is drawn, that goes on unseen. */
  look(record: PictureRecord): void {
    this.#isWatching = this.#drawn === undefined;
    this.show(record);
  }

  /** Shows a picture that has just been drawn, unless the user looks at another. Returns whether it does. */
  finish(record: PictureRecord): boolean {
    if (this.#isWatching) this.show(record);
    return this.#isWatching;
  }

  /** Shows a picture that is kept. */
  show(record: PictureRecord): void {
    const { request, png } = record;
    this.record = record;
    this.#describeRecord(record);
    const address = URL.createObjectURL(png);
    this.#show(address, request.prompt || `A picture by ${request.model}`);
    this.#save.href = address;
    this.#save.download = `denoise-${request.seed}-${timeStamp(record.created)}.png`;
    byId("whole", HTMLAnchorElement).href = address;
  }

  /** Shows no picture that is kept. */
  clear(): void {
    this.record = undefined;
    this.#show("", "");
    this.watch();
  }

  #describeRecord({ request, width, height, seconds }: PictureRecord): void {
    this.#describe(request, `${width}x${height}`, seconds);
  }

  #describe(request: PageRequest, size: string | undefined, seconds?: number): void {
    byId("about-prompt", HTMLElement).textContent = request.prompt ?? "";
    const facts = factsOf(request, size);
    const time = seconds === undefined
      ? ""
      : ` · ${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
    byId("about-facts", HTMLElement).textContent = facts + time;
  }

  #show(address: string, alt: string): void {
    if (this.#image.src.startsWith("blob:")) URL.revokeObjectURL(this.#image.src);
    if (address) this.#image.src = address;
    else this.#image.removeAttribute("src");
    this.#image.alt = alt;
    this.#update();
  }

  /** Shows the parts that belong to what is there. */
  #update(): void {
    const isWorking = this.#drawn !== undefined;
    const hasPicture = this.#image.hasAttribute("src");
    this.#image.hidden = !hasPicture;
    byId("empty", HTMLElement).hidden = hasPicture || isWorking;
    byId("working", HTMLElement).hidden = !isWorking;
    byId("watch", HTMLElement).hidden = this.#isWatching;
    byId("about", HTMLElement).hidden = !isWorking && this.record === undefined;
    byId("acts", HTMLElement).hidden = isWorking && this.#isWatching;
  }
}

/** A time of milliseconds since 1970 in a file's name, e.g. "20260317-153000". */
function timeStamp(created: number): string {
  const date = new Date(created);
  const local = new Date(created - 60_000 * date.getTimezoneOffset());
  return local.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
}

function timeText(seconds: number): string {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
