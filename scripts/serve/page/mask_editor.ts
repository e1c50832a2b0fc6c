import { byId, SMALL } from "./dom.ts";

/** A place on the picture, in its pixels. */
interface Place {
  readonly x: number;
  readonly y: number;
}

/** A movement of the brush. */
interface Stroke {
  readonly places: Place[];
  /** In pixels of the picture. */
  readonly width: number;
  readonly isEraser: boolean;
}

const INK = "#d6247f"; // seen on light and dark pictures

const HIGHEST = 60; // percents of the window

/** Paints a mask over a picture, with a pointer or with keys. */
export class MaskEditor {
  /** What is painted, on a transparent ground. */
  readonly painted = byId("mask-canvas", HTMLCanvasElement);
  readonly #dialog = byId("mask", HTMLDialogElement);
  readonly #picture = byId("mask-picture", HTMLCanvasElement);
  readonly #brush = byId("mask-brush", HTMLElement);
  readonly #size = byId("mask-size", HTMLInputElement);
  readonly #context = this.painted.getContext("2d")!;
  /** A mask that came with the picture. */
  #ground: HTMLCanvasElement | undefined;
  #strokes: Stroke[] = [];
  #stroke: Stroke | undefined;
  #place: Place = { x: 0, y: 0 };

  constructor() {
    const { painted } = this;
    painted.addEventListener("pointerdown", (event) => {
      painted.setPointerCapture(event.pointerId);
      this.#begin(this.#placeOf(event));
    });
    painted.addEventListener("pointermove", (event) => {
      const events = event.getCoalescedEvents();
      for (const each of events.length > 0 ? events : [event]) this.#move(this.#placeOf(each));
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      painted.addEventListener(kind, () => this.#stroke = undefined);
    }
    painted.addEventListener("pointerleave", () => this.#brush.hidden = true);
    painted.addEventListener("blur", () => this.#brush.hidden = true);
    painted.addEventListener("focus", () => this.#move(this.#place));
    painted.addEventListener("keydown", (event) => this.#press(event));
    painted.addEventListener("keyup", ({ key }) => {
      if (key === "Shift") this.#stroke = undefined;
    });
    this.#size.addEventListener("input", () => this.#move(this.#place));
    byId("mask-undo", HTMLButtonElement).addEventListener("click", () => {
      this.#strokes.pop();
      this.#repaint();
    });
    byId("mask-clear", HTMLButtonElement).addEventListener("click", () => {
      this.#ground = undefined;
      this.#strokes = [];
      this.#repaint();
    });
    byId("mask-done", HTMLButtonElement).addEventListener("click", () => this.#dialog.close());
  }

  /** Begins with a picture, and perhaps a mask that was painted before. */
  begin(picture: HTMLCanvasElement | undefined, mask: HTMLCanvasElement | undefined): void {
    this.#strokes = [];
    const { width, height } = picture ?? { width: 1, height: 1 };
    for (const canvas of [this.#picture, this.painted]) Object.assign(canvas, { width, height });
    const { style } = byId("mask-area", HTMLElement);
    style.width = `min(100%, ${HIGHEST * width / height}vh)`;
    style.aspectRatio = `${width} / ${height}`;
    this.#picture.classList.toggle("small", width < SMALL);
    if (picture) this.#picture.getContext("2d")!.drawImage(picture, 0, 0);
    this.#ground = mask && withoutBlack(mask);
    this.#place = { x: width / 2, y: height / 2 };
    this.#repaint();
  }

  /** Lets the user paint. → white on black where something was painted, in the picture's size; undefined where nothing was */
  async paint(): Promise<HTMLCanvasElement | undefined> {
    this.#dialog.showModal();
    await new Promise((closed) => this.#dialog.addEventListener("close", closed, { once: true }));
    const { width, height } = this.painted;
    const { data } = this.#context.getImageData(0, 0, width, height);
    if (!data.some((value, i) => i % 4 === 3 && value > 0)) return undefined;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d")!;
    context.drawImage(inColour(this.painted, "white"), 0, 0);
    context.globalCompositeOperation = "destination-over";
    context.fillRect(0, 0, width, height); // black
    return canvas;
  }

  /** Width of the brush in pixels of the picture; the slider has it in percents of the larger side. */
  get #width(): number {
    return Number(this.#size.value) / 100 * Math.max(this.painted.width, this.painted.height);
  }

  #begin(place: Place): void {
    const isEraser = this.#dialog.querySelector<HTMLInputElement>("[value=eraser]")!.checked;
    this.#stroke = { places: [place], width: this.#width, isEraser };
    this.#strokes.push(this.#stroke);
    this.#paint(this.#stroke, 0);
  }

  /** Moves the brush, which paints if it is down. */
  #move(place: Place): void {
    this.#place = place;
    if (this.#stroke) {
      this.#stroke.places.push(place);
      this.#paint(this.#stroke, this.#stroke.places.length - 2);
    }
    const scale = this.painted.clientWidth / this.painted.width;
    const { style } = this.#brush;
    [style.left, style.top] = [`${place.x * scale}px`, `${place.y * scale}px`];
    style.width = style.height = `${this.#width * scale}px`;
    this.#brush.hidden = false;
  }

  #press(event: KeyboardEvent): void {
    const [x, y] =
      { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (x !== undefined) {
      if (!event.shiftKey) this.#stroke = undefined;
      else if (!this.#stroke) this.#begin(this.#place);
      const within = (value: number, most: number) => Math.min(Math.max(value, 0), most);
      const step = this.#width / 2;
      this.#move({
        x: within(this.#place.x + x * step, this.painted.width),
        y: within(this.#place.y + y! * step, this.painted.height),
      });
    } else if (event.key === " ") {
      this.#begin(this.#place);
      this.#stroke = undefined;
    } else return;
    event.preventDefault();
  }

  #placeOf({ clientX, clientY }: MouseEvent): Place {
    const { left, top, width, height } = this.painted.getBoundingClientRect();
    return {
      x: (clientX - left) / width * this.painted.width,
      y: (clientY - top) / height * this.painted.height,
    };
  }

  #repaint(): void {
    this.#stroke = undefined;
    this.#context.clearRect(0, 0, this.painted.width, this.painted.height);
    if (this.#ground) this.#context.drawImage(this.#ground, 0, 0);
    for (const stroke of this.#strokes) this.#paint(stroke, 0);
  }

  /** Paints a stroke from one of its places on. */
  #paint({ places, width, isEraser }: Stroke, from: number): void {
    const context = this.#context;
    context.globalCompositeOperation = isEraser ? "destination-out" : "source-over";
    Object.assign(context, {
      lineWidth: width,
      lineJoin: "round",
      lineCap: "round",
      strokeStyle: INK,
      fillStyle: INK,
    });
    const [first, ...others] = places.slice(from);
    context.beginPath();
    context.arc(first!.x, first!.y, width / 2, 0, 2 * Math.PI); // lines of no length are not painted
    context.fill();
    context.beginPath();
    context.moveTo(first!.x, first!.y);
    for (const { x, y } of others) context.lineTo(x, y);
    context.stroke();
    context.globalCompositeOperation = "source-over";
  }
}

/** A mask as it would have been painted: its black is transparent. */
function withoutBlack(mask: HTMLCanvasElement): HTMLCanvasElement {
  const context = mask.getContext("2d")!;
  const image = context.getImageData(0, 0, mask.width, mask.height);
  for (let i = 0; i < image.data.length; i += 4) image.data[i + 3] = image.data[i]!;
  context.putImageData(image, 0, 0);
  return inColour(mask, INK);
}

/** A copy in one colour, as opaque as it was. */
function inColour(canvas: HTMLCanvasElement, colour: string): HTMLCanvasElement {
  const { width, height } = canvas;
  const copy = Object.assign(document.createElement("canvas"), { width, height });
  const context = copy.getContext("2d")!;
  context.drawImage(canvas, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, width, height);
  return copy;
}
