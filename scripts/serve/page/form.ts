import type { ModelOffer, Offers } from "../offers.ts";
import { byId, copyOf, fillChoice, partOf } from "./dom.ts";
import { PictureIn } from "./picture_in.ts";
import type { PageRequest } from "./request.ts";

const TEXTS = ["prompt", "negative"] as const;
const NUMBERS = ["steps", "guidance", "true-cfg", "strength"] as const;

/** The settings of a request, as the user writes them. What is left empty is as is usual for the model. */
export class Form {
  readonly picture: PictureIn;
  readonly #offers: Offers;
  readonly #form = byId("form", HTMLFormElement);
  readonly #model = byId("model", HTMLSelectElement);
  readonly #scheduler = byId("scheduler", HTMLSelectElement);
  readonly #loras = byId("loras", HTMLUListElement);

  constructor(offers: Offers) {
    this.#offers = offers;
    const { loras, limits, models } = offers;
    this.picture = new PictureIn(limits.pixels, (size) => this.#fitSize(size));
    fillChoice(this.#model, [["", models.map(({ name }) => [name, name])]]);
    fillChoice(byId("lora", HTMLSelectElement), [["", loras.map((name) => [name, name])]]);
    byId("steps", HTMLInputElement).max = String(limits.steps);
    byId("count", HTMLInputElement).max = String(limits.count);
    this.#model.addEventListener("change", () => this.#suitModel());
    byId("lora-add", HTMLButtonElement).addEventListener("click", () => {
      const { value } = byId("lora", HTMLSelectElement);
      if (!this.#loraRows().some(({ name }) => name === value)) this.#addLora(value, "1");
    });
    this.#form.addEventListener("input", () => this.mark());
    this.#suitModel();
  }

  /** Calls a function when the user wants to draw. */
  onDraw(draw: () => void): void {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      draw();
    });
    byId("draw", HTMLButtonElement).addEventListener("click", () => {
      if (!this.#form.checkValidity()) byId("settings", HTMLDetailsElement).open = true; // where the browser points
    });
    for (const name of TEXTS) {
      byId(name, HTMLTextAreaElement).addEventListener("keydown", (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#form.requestSubmit();
      });
    }
  }

  /** True for a setting that the chosen model takes. */
  takes(setting: string): boolean {
    return this.#offer.settings.includes(setting);
  }

  /** One request for each picture; without a seed each gets a random one of 32 bits. */
  read(): PageRequest[] {
    const count = Number(valueOf("count")) || 1;
    const first = BigInt(valueOf("seed").replace("+", "") || crypto.getRandomValues(new Uint32Array(1))[0]!);
    const [width, height] = [valueOf("width"), valueOf("height")];
    const { size } = this.#offer;
    const { image, mask } = this.picture;
    const given: Record<string, unknown> = {
      ...Object.fromEntries(TEXTS.map((name) => [name, byId(name, HTMLTextAreaElement).value.trim()])),
      lora: this.#loraRows().map(({ name, scale }) => `${name}:${scale}`),
      scheduler: this.#scheduler.value,
      ...width || height ? { size: `${width || size.width}x${height || size.height}` } : {},
      ...Object.fromEntries(
        NUMBERS.filter((name) => valueOf(name) !== "").map((name) => [name, Number(valueOf(name))]),
      ),
      ...image ? { image, mask } : { strength: undefined },
    };
    const isSaid = ([name, value]: [string, unknown]) =>
      this.takes(name) && value !== undefined && value !== "" &&
      !(Array.isArray(value) && value.length === 0);
    const said = Object.fromEntries(Object.entries(given).filter(isSaid));
    return Array.from(
      { length: count },
      (_, i) => ({ ...said, model: this.#model.value, seed: String(first + BigInt(i)) }),
    );
  }

  /** Takes a request's settings. Returns the names of those that are no longer offered. */
  async fill(request: PageRequest): Promise<string[]> {
    const lost: string[] = [];
    if (this.#offers.models.some(({ name }) => name === request.model)) this.#model.value = request.model;
    else lost.push(`the model ${request.model}`);
    this.#suitModel();
    for (const name of TEXTS) byId(name, HTMLTextAreaElement).value = request[name] ?? "";
    for (const name of NUMBERS) byId(name, HTMLInputElement).value = String(request[name] ?? "");
    const [width = "", height = ""] = request.size?.split("x") ?? [];
    byId("seed", HTMLInputElement).value = request.seed;
    byId("count", HTMLInputElement).value = "";
    this.#scheduler.value = request.scheduler ?? "";
    if (this.#scheduler.selectedIndex < 0) {
      lost.push(`the scheduler ${request.scheduler}`);
      this.#scheduler.value = "";
    }
    this.#loras.replaceChildren();
    for (const lora of request.lora ?? []) {
      const [, name, scale] = /^(.*):(.*)$/.exec(lora)!;
      if (this.#offers.loras.includes(name!)) this.#addLora(name!, scale!);
      else lost.push(`the LoRA ${name}`);
    }
    await this.picture.take(request.image, request.mask);
    byId("width", HTMLInputElement).value = width; // after the picture, which sets the size
    byId("height", HTMLInputElement).value = height;
    this.mark();
    return lost;
  }

  /** Marks the field of a setting that is wrong; none without one. */
  mark(setting?: string): void {
    for (const field of this.#form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    const id = setting === "size" ? "width" : setting === "image" ? "picture-file" : setting;
    const field = id && document.getElementById(id);
    if (!field || !this.#form.contains(field)) return;
    byId("settings", HTMLDetailsElement).open ||= byId("settings", HTMLDetailsElement).contains(field);
    field.ariaInvalid = "true";
    field.focus();
  }

  get #offer(): ModelOffer {
    return this.#offers.models[this.#model.selectedIndex]!;
  }

  /** Shows the settings of the chosen model, with what is usual for it. */
  #suitModel(): void {
    const { schedulers, size, multiple, steps, guidance } = this.#offer;
    const scheduler = this.#scheduler.value;
    const pairs = (names: readonly string[]) => names.map((name) => [name, name] as const);
    fillChoice(this.#scheduler, [
      ["", [["", "The model's own"]]],
      ["Samplers", pairs(schedulers.filter((name) => !name.endsWith(" Karras")))],
      ["With Karras' spread of the steps", pairs(schedulers.filter((name) => name.endsWith(" Karras")))],
    ]);
    this.#scheduler.value = schedulers.includes(scheduler) ? scheduler : "";
    for (const side of ["width", "height"] as const) {
      const field = byId(side, HTMLInputElement);
      field.min = field.step = String(multiple);
      field.placeholder = String(size[side]);
    }
    byId("steps", HTMLInputElement).placeholder = String(steps);
    byId("guidance", HTMLInputElement).placeholder = String(guidance ?? "usual");
    for (const part of document.querySelectorAll<HTMLElement>("[data-setting]")) {
      part.hidden = !this.takes(part.dataset["setting"]!);
    }
    byId("lora-field", HTMLElement).hidden ||= this.#offers.loras.length === 0;
  }

  /** As many pixels as are usual, in the shape of a picture; the usual size without one. */
  #fitSize(picture?: { readonly width: number; readonly height: number }): void {
    const { size, multiple } = this.#offer;
    const scale = picture && Math.sqrt(size.width * size.height / (picture.width * picture.height));
    for (const side of ["width", "height"] as const) {
      const fitting = picture && Math.max(1, Math.round(picture[side] * scale! / multiple)) * multiple;
      byId(side, HTMLInputElement).value = String(fitting ?? "");
    }
  }

  #loraRows(): { readonly name: string; readonly scale: string }[] {
    return [...this.#loras.children].map((row) => ({
      name: partOf(row, ".name").textContent,
      scale: partOf<HTMLInputElement>(row, "input").value,
    }));
  }

  #addLora(name: string, scale: string): void {
    const row = copyOf("lora-row");
    partOf(row, ".name").textContent = name;
    const field = partOf<HTMLInputElement>(row, "input");
    field.value = scale;
    field.ariaLabel = `Scale of ${name}`;
    const remove = partOf<HTMLButtonElement>(row, "button");
    remove.ariaLabel = `Remove ${name}`;
    remove.addEventListener("click", () => {
      row.remove();
      byId("lora", HTMLSelectElement).focus();
    });
    this.#loras.append(row);
  }
}

function valueOf(id: string): string {
  return byId(id, HTMLInputElement).value.trim();
}
