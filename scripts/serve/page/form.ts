import type { ModelOffer, Offers } from "../draw/offers.ts";
import { byId, fillChoice } from "./dom.ts";
import { type Attempt, Guides } from "./guides.ts";
import { NamedList } from "./named_list.ts";
import { PictureIn } from "./picture_in.ts";
import { References } from "./references.ts";
import { NUMBERS, type PageRequest } from "./request.ts";
import { fillSeeds, readSeeds, writtenSeeds } from "./seeds.ts";

const TEXTS = ["prompt", "negative"] as const;
/** Settings whose fields are for numbers. */
const NUMERIC = [...NUMBERS, "strength", "mask-blur"] as const;
const MASK_BLUR = 4; // A1111's
/** Choices whose first, "", is as is usual. */
const CHOICES = ["scheduler", "prompt-syntax", "vae", "hires-upscaler"] as const;
/** What belongs to a second pass. */
const HIRES = ["hires-upscaler", "hires-strength", "hires-steps"];
/** Step caches by their names in a request. */
const CACHES: Readonly<Record<string, string>> = {
  "first-block": "First Block Cache",
  tea: "TeaCache",
  easy: "EasyCache",
};

/** Ids of fields that are not called like their setting. */
const FIELDS: Readonly<Record<string, string>> = {
  ...{ size: "width", image: "picture-file" },
  ...{ controlnet: "guide", "t2i-adapter": "guide", "ip-adapter": "guide" },
  ...{ control: "guide", "control-mode": "guide", "ip-image": "guide" },
};

/** The settings of a request, as the user writes them. What is left empty is as is usual for the model. */
export class Form {
  readonly #offers: Offers;
  readonly #form = byId("form", HTMLFormElement);
  readonly #model = byId("model", HTMLSelectElement);
  readonly #scheduler = byId("scheduler", HTMLSelectElement);
  readonly #cache = byId("cache", HTMLSelectElement);
  readonly #loras = new NamedList("lora", { hasScale: true });
  readonly #embeddings = new NamedList("embedding", { hasScale: false });
  readonly #guides: Guides;
  readonly #picture: PictureIn;
  readonly #references: References;

  /** `attempt` does what may fail, and tells the user. */
  constructor(offers: Offers, attempt: Attempt) {
    this.#offers = offers;
    const { limits, models } = offers;
    this.#picture = new PictureIn(limits.pixels, (size) => this.#fitSize(size));
    this.#references = new References(limits.pixels);
    this.#guides = new Guides(limits.pixels, attempt);
    this.#references.onChange = () => this.#suitPictures();
    fillChoice(this.#model, [["", models.map(({ name }) => [name, name])]]);
    byId("steps", HTMLInputElement).max = String(limits.steps);
    byId("count", HTMLInputElement).max = String(limits.count);
    byId("swap", HTMLButtonElement).addEventListener("click", () => {
      const [width, height] = (["width", "height"] as const).map((side) => byId(side, HTMLInputElement));
      const { size } = this.#offer;
      const values = [height!.value || String(size.height), width!.value || String(size.width)];
      [width!.value, height!.value] = values as [string, string];
    });
    this.#model.addEventListener("change", () => this.#suitModel());
    this.#form.addEventListener("input", () => this.mark());
    this.#suitModel();
  }

  /** Calls a function when the user wants to draw, another when a step is to be profiled. */
  onSubmit(draw: () => void, profile: () => void): void {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (event.submitter?.id === "profile") profile();
      else draw();
    });
    for (const id of ["draw", "profile"]) {
      byId(id, HTMLButtonElement).addEventListener("click", () => {
        const [wrong] = this.#form.querySelectorAll(":invalid:not(fieldset)");
        byId("error", HTMLElement).textContent = "";
        if (wrong) this.#open(wrong); // where the browser points
      });
    }
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

  /** Takes a picture to change, or one more that the prompt is about. */
  async take(file: Blob): Promise<void> {
    if (this.#offer.images > 1) await this.#references.add(file);
    else await this.#picture.take(file);
  }

  /** Brings the user to the picture that is to be changed. */
  showPicture(): void {
    byId("settings", HTMLDetailsElement).open = true;
    byId("picture", HTMLElement).scrollIntoView({ block: "center" });
    const mask = byId("mask-open", HTMLElement);
    (mask.checkVisibility() ? mask : byId("prompt", HTMLElement)).focus();
  }

  /** One request for each picture; without a seed each gets a random one of 32 bits. */
  read(): PageRequest[] {
    const count = Number(valueOf("count")) || 1;
    const seedsOf = readSeeds(this.takes("variation"));
    const [width, height] = [valueOf("width"), valueOf("height")];
    const { size } = this.#offer;
    const given: Record<string, unknown> = {
      ...Object.fromEntries(TEXTS.map((name) => [name, byId(name, HTMLTextAreaElement).value.trim()])),
      ...Object.fromEntries(CHOICES.map((name) => [name, byId(name, HTMLSelectElement).value])),
      lora: this.#loras.read(),
      embedding: this.#embeddings.read(),
      ...this.#guides.read(),
      ...width || height ? { size: `${width || size.width}x${height || size.height}` } : {},
      ...Object.fromEntries(
        NUMERIC.filter((name) => valueOf(name) !== "").map((name) => [name, Number(valueOf(name))]),
      ),
      cache: [this.#cache.value, valueOf("cache-threshold")].filter(Boolean).join(":"),
      hires: valueOf("hires"),
      ...this.#pictures(),
    };
    if (this.#cache.value === "") delete given["cache"];
    if (given["hires"] === "") { for (const name of HIRES) delete given[name]; }
    const isSaid = ([name, value]: [string, unknown]) =>
      this.takes(name) && value !== undefined && (value !== "" || name === "prompt") &&
      !(Array.isArray(value) && value.length === 0);
    const said = Object.fromEntries(Object.entries(given).filter(isSaid));
    return Array.from(
      { length: count },
      (_, i) => ({ ...said, model: this.#model.value, ...seedsOf(i) }),
    );
  }

  /** The settings without pictures, to be kept. */
  draft(): Partial<PageRequest> {
    const [{ image: _i, mask: _m, control: _c, "ip-image": _p, strength: _s, "mask-blur": _b, ...request }] =
      this.read() as [
        PageRequest,
      ];
    const { controlnet: _n, "t2i-adapter": _t, "ip-adapter": _a, "control-mode": _o, ...words } = request;
    return { ...words, ...writtenSeeds(words) };
  }

  /** Takes settings. Returns what of them is no longer offered. */
  async fill(request: Partial<PageRequest>): Promise<string[]> {
    const lost: string[] = [];
    const { model, image } = request;
    if (this.#offers.models.some(({ name }) => name === model)) this.#model.value = model!;
    else if (model !== undefined) lost.push(`the model ${model}`);
    this.#suitModel();
    for (const name of TEXTS) byId(name, HTMLTextAreaElement).value = request[name] ?? "";
    for (const name of NUMERIC) byId(name, HTMLInputElement).value = String(request[name] ?? "");
    for (const name of CHOICES) lost.push(...choose(name, request[name]));
    const [kind, threshold = ""] = request.cache?.split(":") ?? [];
    lost.push(...choose("cache", kind));
    byId("cache-threshold", HTMLInputElement).value = threshold;
    byId("hires", HTMLInputElement).value = request.hires ?? "";
    const [width = "", height = ""] = request.size?.split("x") ?? [];
    fillSeeds(request);
    byId("count", HTMLInputElement).value = "";
    lost.push(...this.#loras.fill(request.lora ?? []).map((name) => `the LoRA ${name}`));
    lost.push(
      ...this.#embeddings.fill(request.embedding ?? []).map((name) => `the textual inversion ${name}`),
    );
    lost.push(...await this.#guides.fill(request));
    const images = [image ?? []].flat();
    const takesSeveral = this.#offer.images > 1;
    await this.#references.fill(takesSeveral ? images : []);
    await this.#picture.take(takesSeveral ? undefined : images[0], request.mask);
    byId("width", HTMLInputElement).value = width; // after the picture, which sets the size
    byId("height", HTMLInputElement).value = height;
    const isRare = [
      "embedding",
      "vae",
      "prompt-syntax",
      "true-cfg",
      "pag",
      "clip-skip",
      "max-sequence-length",
      "cache",
      "variation",
      "hires",
    ] as const;
    byId("more-settings", HTMLDetailsElement).open ||= isRare.some((name) => request[name] !== undefined);
    this.mark();
    return lost;
  }

  /** Marks the field of a setting that is wrong; none without one. */
  mark(setting?: string): void {
    for (const field of this.#form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    const field = setting && document.getElementById(FIELDS[setting] ?? setting);
    if (!field || !this.#form.contains(field)) return;
    this.#open(field);
    field.ariaInvalid = "true";
    field.focus();
    field.scrollIntoView({ block: "nearest" }); // also where it had the focus
  }

  /** Opens what hides a field. */
  #open(field: Element): void {
    for (const details of this.#form.querySelectorAll("details")) details.open ||= details.contains(field);
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
      ["", [["", `The model's own (${this.#offer.scheduler})`]]],
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
      for (const field of part.querySelectorAll<HTMLInputElement>("input, select, textarea")) {
        field.disabled = part.hidden; // so that the browser does not check it
      }
    }
    const { additions } = this.#offer;
    const tokens = new Map(this.#offers.embeddings.map(({ name, token }) => [name, `${name}: ${token}`]));
    this.#loras.offer(additions.lora.map((name) => [name, name]));
    this.#embeddings.offer(additions.embedding.map((name) => [name, tokens.get(name) ?? name]));
    fillChoice(byId("vae", HTMLSelectElement), [["", [
      ["", "The model's own"],
      ...additions.vae.map((name) => [name, name] as const),
    ]]]);
    this.#guides.suit(this.#offer);
    const caches = this.#offer.caches.map((kind) => [kind, CACHES[kind] ?? kind] as const);
    fillChoice(this.#cache, [["", [["", "None"], ...caches]]]);
    this.#suitPictures();
  }

  /** Shows one picture with its mask, or several. */
  #suitPictures(): void {
    const { images } = this.#offer;
    const isOne = images === 1;
    byId("picture-title", HTMLElement).textContent = isOne
      ? "Picture to change"
      : "Pictures that the prompt is about";
    byId("references", HTMLElement).hidden = isOne;
    byId("picture-none", HTMLElement).hidden = isOne
      ? this.#picture.image !== undefined
      : this.#references.images.length >= images;
    byId("picture-some", HTMLElement).hidden = !isOne || this.#picture.image === undefined;
  }

  /** The pictures of a request, and what belongs to them. */
  #pictures(): Record<string, unknown> {
    if (this.#offer.images > 1) {
      return { "image": this.#references.images, "strength": undefined, "mask-blur": undefined };
    }
    const { image, mask } = this.#picture;
    if (!image) return { "strength": undefined, "mask-blur": undefined };
    return { image, mask, "mask-blur": mask && (Number(valueOf("mask-blur")) || MASK_BLUR) };
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
}

/** Takes a choice where it is there. Returns it where it is not. */
function choose(id: string, value: string | undefined): string[] {
  const field = byId(id, HTMLSelectElement);
  field.value = value ?? "";
  if (field.selectedIndex >= 0) return [];
  field.value = "";
  return [`${field.labels[0]!.textContent.toLowerCase()} ${value}`];
}

function valueOf(id: string): string {
  return byId(id, HTMLInputElement).value.trim();
}
