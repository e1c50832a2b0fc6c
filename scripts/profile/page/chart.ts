/// <reference lib="dom" />
// @ts-types="@types/d3"
import * as d3 from "d3";
import { element, onWidth, showTip, type Tip } from "./dom.ts";

/** A chart's canvas while it is drawn. */
export interface Canvas {
  readonly context: CanvasRenderingContext2D;
  readonly width: number;
  readonly height: number;
  /** From the data to pixels, as far as it is zoomed in. */
  readonly x: d3.ScaleLinear<number, number>;
}

/** What a chart shows. */
export interface ChartContent<Item> {
  readonly label: string;
  readonly height: number;
  /** The data from left to right. */
  readonly extent: readonly [number, number];
  /** What is in view at first. */
  readonly view?: readonly [number, number];
  readonly draw: (canvas: Canvas) => void;
  /** What lies at a place: x in the data's units, y in pixels. `reach` is as wide as two pixels. */
  readonly find: (x: number, y: number, reach: number) => Item | undefined;
  readonly tip: (item: Item) => Tip;
  readonly choose: (item: Item) => void;
}

const MARGIN = 1; // px at both sides
const DEEPEST = 1e5; // times

/** A canvas that zooms and pans along x: by ctrl and the wheel, by drags, by two fingers, by keys. */
export class Chart<Item> {
  readonly node: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #content: ChartContent<Item>;
  readonly #zoom = d3.zoom<HTMLCanvasElement, unknown>();
  readonly #selection: d3.Selection<HTMLCanvasElement, unknown, null, undefined>;
  #width = 0;

  constructor(content: ChartContent<Item>) {
    this.#content = content;
    const canvas = this.#canvas = element("canvas", {
      tabindex: 0,
      role: "img",
      "aria-label": content.label,
      style: `height: ${content.height}px`,
    });
    const button = (label: string, text: string, act: () => void) =>
      element("button", { type: "button", "aria-label": label, title: label, click: act }, text);
    this.node = element(
      "div",
      { class: "chart" },
      element(
        "div",
        { class: "zoom" },
        button("zoom in", "+", () => this.#scaleBy(2)),
        button("zoom out", "−", () => this.#scaleBy(0.5)),
        button("show all", "all", () => this.show(content.extent)),
        ...content.view ? [button("show as at first", "reset", () => this.show(content.view!))] : [],
      ),
      canvas,
    );
    this.#selection = d3.select(canvas);
    this.#zoom.filter((event) => this.#isMeant(event))
      .on("start", () => showTip())
      .on("zoom", () => this.draw());
    this.#selection.call(this.#zoom).on("dblclick.zoom", null);
    this.#listen();
    onWidth(canvas, (width) => this.#resize(width));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Draws anew, after something else than the zoom changed. */
  draw(): void {
    const { width, height, context } = this.#sized();
    if (width === 0) return;
    context.clearRect(0, 0, width, height);
    this.#content.draw({ context, width, height, x: this.#x() });
  }

  /** Zooms to a part of the data. */
  show([from, to]: readonly [number, number]): void {
    const base = this.#base();
    const [left, right] = [base(from), base(to)];
    const k = Math.min(DEEPEST, Math.max(1, this.#width / Math.max(1e-9, right - left)));
    this.#zoom.transform(this.#selection, d3.zoomIdentity.scale(k).translate(-left, 0));
  }

  #base(): d3.ScaleLinear<number, number> {
    return d3.scaleLinear(this.#content.extent, [MARGIN, Math.max(2, this.#width - MARGIN)]);
  }

  #x(): d3.ScaleLinear<number, number> {
    return d3.zoomTransform(this.#canvas).rescaleX(this.#base());
  }

  #resize(width: number): void {
    const isFirst = this.#width === 0;
    const shown = isFirst ? this.#content.view ?? this.#content.extent : this.#x().domain();
    this.#width = width;
    const corners: [[number, number], [number, number]] = [[0, 0], [this.#width, this.#content.height]];
    this.#zoom.scaleExtent([1, DEEPEST]).extent(corners).translateExtent(corners);
    this.show(shown as [number, number]);
    this.draw();
  }

  #sized() {
    const [width, height] = [this.#canvas.clientWidth, this.#content.height];
    const context = this.#canvas.getContext("2d")!;
    const scale = devicePixelRatio;
    if (this.#canvas.width !== Math.round(width * scale)) {
      this.#canvas.width = Math.round(width * scale);
      this.#canvas.height = Math.round(height * scale);
    }
    context.setTransform(scale, 0, 0, scale, 0, 0);
    return { width, height, context };
  }

  /** A wheel alone scrolls the page, and so does one finger while nothing is zoomed. */
  #isMeant(event: WheelEvent | TouchEvent | MouseEvent): boolean {
    if (event.type === "wheel") return event.ctrlKey || event.metaKey || event.shiftKey;
    if ("touches" in event) return event.touches.length > 1 || d3.zoomTransform(this.#canvas).k > 1;
    return (event as MouseEvent).button === 0;
  }

  #scaleBy(factor: number): void {
    this.#zoom.scaleBy(this.#selection, factor);
  }

  #listen(): void {
    const at = (event: MouseEvent) => {
      const [x, y] = d3.pointer(event, this.#canvas);
      const scale = this.#x();
      return this.#content.find(scale.invert(x), y, scale.invert(x + 2) - scale.invert(x));
    };
    const canvas = this.#canvas;
    canvas.addEventListener("mousemove", (event) => {
      const item = event.buttons ? undefined : at(event);
      canvas.style.cursor = item === undefined ? "grab" : "pointer";
      showTip(item === undefined ? undefined : this.#content.tip(item), event);
    });
    canvas.addEventListener("mouseleave", () => showTip());
    canvas.addEventListener("click", (event) => {
      const item = at(event);
      if (item !== undefined) this.#content.choose(item);
    });
    canvas.addEventListener("keydown", (event) => {
      const keys: Record<string, () => void> = {
        "+": () => this.#scaleBy(2),
        "=": () => this.#scaleBy(2),
        "-": () => this.#scaleBy(0.5),
        "0": () => this.show(this.#content.extent),
        ArrowLeft: () => this.#pan(1 / 8),
        ArrowRight: () => this.#pan(-1 / 8),
      };
      const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
  }

  #pan(part: number): void {
    const { k } = d3.zoomTransform(this.#canvas);
    this.#zoom.translateBy(this.#selection, part * this.#width / k, 0);
  }
}

/** Draws a text within a box where there is room for some letters, cut at its end. */
export function drawLabel(
  context: CanvasRenderingContext2D,
  text: string,
  [x0, x1]: readonly [number, number],
  y: number,
): void {
  const room = Math.floor((x1 - x0 - 6) / (context.measureText("m").width * 0.82));
  if (room < 3) return;
  context.fillText(text.length > room ? `${text.slice(0, room - 1)}…` : text, x0 + 3, y);
}
