import type { ModelOffer } from "../draw/offers.ts";
import { byId, copyOf, fillChoice, partOf } from "./dom.ts";
import { paint, pixelsOf, pngOf } from "./pixels.ts";
import type { PageRequest } from "./request.ts";

/** Settings that name what a picture guides by; "" is a picture that the model itself, or a LoRA, follows. */
const KINDS = [
  ["controlnet", "ControlNets"],
  ["t2i-adapter", "T2I-Adapters"],
  ["ip-adapter", "IP-Adapters"],
] as const;
type Kind = typeof KINDS[number][0] | "";

/** Does something, and tells the user where it fails. */
export type Attempt = (act: () => Promise<void>) => void;

/** A picture, and what it guides by. */
interface Guide {
  readonly kind: Kind;
  readonly name: string;
  readonly row: HTMLElement;
  image: Blob | undefined;
}

/** Pictures that guide a drawing: by ControlNets, T2I-Adapters and IP-Adapters, or as FLUX.1 Depth and Canny follow one. */
export class Guides {
  readonly #most: number;
  readonly #choice = byId("guide", HTMLSelectElement);
  readonly #list = byId("guides", HTMLUListElement);
  readonly #field = byId("guides-field", HTMLElement);
  readonly #attempt: Attempt;
  #guides: Guide[] = [];
  #offer: ModelOffer | undefined;

  /** For pictures of at most so many pixels: larger ones are made smaller. `attempt` does what may fail, and tells the user. */
  constructor(most: number, attempt: Attempt) {
    this.#most = most;
    this.#attempt = attempt;
    byId("guide-add", HTMLButtonElement).addEventListener("click", () => {
      const [kind, name] = readChoice(this.#choice.value);
      const guide = this.#add(kind, name, "1");
      partOf(guide.row, "input[type=file]").focus();
    });
  }

  /** Shows what a model is guided by; what it is not leaves the list. */
  suit(offer: ModelOffer): void {
    this.#offer = offer;
    const groups = KINDS.map(([kind, heading]) =>
      [heading, offer.additions[kind].map((name) => [`${kind}:${name}`, name] as const)] as const
    );
    const follows = offer.settings.includes("control") && offer.pipeline.startsWith("Flux");
    fillChoice(this.#choice, [...groups, ["", follows ? [[":", "A picture to follow"]] : []]]);
    for (const guide of [...this.#guides]) if (!this.#has(guide)) this.#remove(guide);
    this.#field.hidden = this.#choice.options.length === 0;
  }

  /** The settings of a request. */
  read(): Partial<PageRequest> {
    const of = (...kinds: readonly Kind[]) => this.#guides.filter(({ kind }) => kinds.includes(kind));
    const named = (kind: Kind) =>
      of(kind).map(({ name, row }) => `${name}:${partOf<HTMLInputElement>(row, ".scale").value}`);
    const modes = of("controlnet").map(({ row }) =>
      partOf<HTMLInputElement>(row, ".mode input").value || "none"
    );
    const said = {
      controlnet: named("controlnet"),
      "t2i-adapter": named("t2i-adapter"),
      "ip-adapter": named("ip-adapter"),
      control: of("controlnet", "t2i-adapter", "").map(({ image }) => image!),
      "control-mode": modes.some((mode) => mode !== "none") ? modes : [],
      "ip-image": of("ip-adapter").map(({ image }) => image!),
    };
    return Object.fromEntries(Object.entries(said).filter(([, list]) => list.length > 0));
  }

  /** Takes the settings of a request. Returns what of them is not offered. */
  async fill(request: Partial<PageRequest>): Promise<string[]> {
    for (const guide of [...this.#guides]) this.#remove(guide);
    const control = [...request.control ?? []];
    const lost: string[] = [];
    for (const [kind, heading] of KINDS) {
      const pictures = kind === "ip-adapter" ? [...request["ip-image"] ?? []] : control;
      for (const [i, text] of (request[kind] ?? []).entries()) {
        const image = pictures.shift();
        const at = text.lastIndexOf(":");
        const [name, scale] = at < 0 ? [text, "1"] : [text.slice(0, at), text.slice(at + 1)];
        if (!this.#has({ kind, name })) {
          lost.push(`the ${heading.slice(0, -1)} ${name}`);
          continue;
        }
        const guide = this.#add(kind, name, scale);
        const mode = kind === "controlnet" ? request["control-mode"]?.[i] : undefined;
        if (mode && mode !== "none") partOf<HTMLInputElement>(guide.row, ".mode input").value = mode;
        if (image) await this.#take(guide, image);
      }
    }
    for (const image of control) await this.#take(this.#add("", "", "1"), image);
    return lost;
  }

  #has({ kind, name }: Pick<Guide, "kind" | "name">): boolean {
    return [...this.#choice.options].some(({ value }) => value === `${kind}:${name}`);
  }

  #add(kind: Kind, name: string, scale: string): Guide {
    const row = copyOf("guide-row");
    const guide: Guide = { kind, name, row, image: undefined };
    const text = name || "A picture to follow";
    partOf(row, ".name").textContent = text;
    const scaleField = partOf<HTMLInputElement>(row, ".scale");
    Object.assign(scaleField, { value: scale, ariaLabel: `Scale of ${text}`, hidden: kind === "" });
    const mode = kind === "controlnet" && this.#offer!.settings.includes("control-mode");
    partOf(row, ".mode").hidden = !mode;
    const file = partOf<HTMLInputElement>(row, "input[type=file]");
    file.addEventListener("change", () => {
      const [chosen] = file.files ?? [];
      if (chosen) this.#attempt(() => this.#take(guide, chosen));
    });
    const remove = partOf<HTMLButtonElement>(row, "button");
    remove.ariaLabel = `Remove ${text}`;
    remove.addEventListener("click", () => {
      this.#remove(guide);
      this.#choice.focus();
    });
    this.#guides.push(guide);
    this.#list.append(row);
    return guide;
  }

  async #take(guide: Guide, file: Blob): Promise<void> {
    const pixels = await pixelsOf(file, this.#most);
    guide.image = await pngOf(pixels);
    const canvas = partOf<HTMLCanvasElement>(guide.row, "canvas");
    paint(canvas, pixels);
    canvas.hidden = false;
    partOf<HTMLInputElement>(guide.row, "input[type=file]").required = false;
    partOf(guide.row, ".choose").textContent = "Choose another";
  }

  #remove(guide: Guide): void {
    guide.row.remove();
    this.#guides = this.#guides.filter((other) => other !== guide);
  }
}

function readChoice(value: string): [kind: Kind, name: string] {
  const at = value.indexOf(":");
  return [value.slice(0, at) as Kind, value.slice(at + 1)];
}
