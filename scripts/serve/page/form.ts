import type { ModelOffer, Offers } from "../draw/offers.ts";
import { byId, fillChoice } from "./dom.ts";
import { type Attempt, Guides } from "./guides.ts";
import { NamedList } from "./named_list.ts";
import { Originals } from "./originals.ts";
import { NUMBERS, type PageRequest } from "./request.ts";
import { fillSeeds, readSeeds, writtenSeeds } from "./seeds.ts";
import { SidesFields } from "./sides.ts";

/** Settings in words. */
const TEXTS = ["prompt", "negative", "hires-prompt", "hires-negative"] as const;
/** Settings whose fields are for numbers. */
const NUMERIC = [...NUMBERS, "strength", "mask-blur"] as const;
/** Sizes beside that of the picture. */
const SIZES = ["seed-size", "hires"] as const;
/** Choices whose first, "", is as is usual. */
const CHOICES = [
  ...["scheduler", "prompt-syntax", "vae", "hires-upscaler", "hires-scheduler"] as const,
  ...["mask-content", "resize"] as const,
];
/** Pictures, and what belongs to them. */
const OF_PICTURES = [
  ...["image", "mask", "strength", "mask-blur", "mask-content", "resize"],
  ...["controlnet", "t2i-adapter", "control", "control-mode", "ip-adapter", "ip-image"],
];
/** What belongs to a second pass. */
const HIRES = [
  ...["hires-upscaler", "hires-strength", "hires-steps", "hires-scheduler", "hires-prompt", "hires-negative"],
];
/** Settings under "More" that bring the others there with them. */
const RARE = [
  ...["embedding", "vae", "prompt-syntax", "true-cfg", "pag", "clip-skip", "max-sequence-length", "cache"],
  ...["variation", "seed-size", "hires"],
] as readonly (keyof PageRequest)[];
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
  readonly #vae = byId("vae", HTMLSelectElement);
  readonly #cache = byId("cache", HTMLSelectElement);
  readonly #loras = new NamedList("lora", { hasScale: true });
  readonly #embeddings = new NamedList("embedding", { hasScale: false });
  readonly #guides: Guides;
  readonly #sides = new SidesFields();
  readonly #originals: Originals;

  /** `attempt` does what may fail, and tells the user. */
  constructor(offers: Offers, attempt: Attempt) {
    this.#offers = offers;
    const { limits, models } = offers;
    this.#originals = new Originals(limits.pixels, (size) => this.#sides.fit(size));
    this.#guides = new Guides(limits.pixels, attempt);
    fillChoice(this.#model, [["", models.map(({ name }) => [name, name])]]);
    byId("steps", HTMLInputElement).max = String(limits.steps);
    byId("count", HTMLInputElement).max = String(limits.count);
    this.#model.addEventListener("change", () => this.#suitModel());
    this.#vae.addEventListener("change", () => this.#suitSides());
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
    this.#form.addEventListener("keydown", (event) => { // a key that is held asks once
      const isText = event.target instanceof HTMLTextAreaElement;
      if (event.key === "Enter" && event.repeat && !isText) event.preventDefault();
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
        const isWanted = event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat;
        if (isWanted) this.#form.requestSubmit();
      });
    }
  }

  /** True for a setting that the chosen model takes. */
  takes(setting: string): boolean {
    return this.#offer.settings.includes(setting);
  }

  /** Takes a picture to change, or one more that the prompt is about. */
  async take(file: Blob): Promise<void> {
    await this.#originals.take(file);
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
    const given: Record<string, unknown> = {
      ...Object.fromEntries(TEXTS.map((name) => [name, byId(name, HTMLTextAreaElement).value.trim()])),
      ...Object.fromEntries(CHOICES.map((name) => [name, byId(name, HTMLSelectElement).value])),
      lora: this.#loras.read(),
      embedding: this.#embeddings.read(),
      ...this.#guides.read(),
      ...Object.fromEntries(SIZES.map((name) => [name, valueOf(name)])),
      size: this.#sides.read(),
      ...Object.fromEntries(
        NUMERIC.filter((name) => valueOf(name) !== "").map((name) => [name, Number(valueOf(name))]),
      ),
      cache: [this.#cache.value, valueOf("cache-threshold")].filter(Boolean).join(":"),
      ...this.#originals.read(),
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
    const [request] = this.read() as [PageRequest];
    const words = Object.fromEntries(Object.entries(request).filter(([name]) => !OF_PICTURES.includes(name)));
    return { ...words, ...writtenSeeds(request) };
  }

  /** Takes settings. Returns what of them is no longer offered. */
  async fill(request: Partial<PageRequest>): Promise<string[]> {
    const lost: string[] = [];
    const { model } = request;
    if (this.#offers.models.some(({ name }) => name === model)) this.#model.value = model!;
    else if (model !== undefined) lost.push(`the model ${model}`);
    this.#suitModel();
    for (const name of TEXTS) byId(name, HTMLTextAreaElement).value = request[name] ?? "";
    for (const name of NUMERIC) byId(name, HTMLInputElement).value = String(request[name] ?? "");
    for (const name of CHOICES) lost.push(...choose(name, request[name]));
    const [kind, threshold = ""] = request.cache?.split(":") ?? [];
    lost.push(...choose("cache", kind));
    byId("cache-threshold", HTMLInputElement).value = threshold;
    for (const name of SIZES) byId(name, HTMLInputElement).value = request[name] ?? "";
    this.#suitSides();
    fillSeeds(request);
    byId("count", HTMLInputElement).value = "";
    lost.push(...this.#loras.fill(request.lora ?? []).map((name) => `the LoRA ${name}`));
    lost.push(
      ...this.#embeddings.fill(request.embedding ?? []).map((name) => `the textual inversion ${name}`),
    );
    lost.push(...await this.#guides.fill(request));
    await this.#originals.fill(request);
    this.#sides.fill(request.size); // after the picture, which sets the size
    byId("more-settings", HTMLDetailsElement).open ||= RARE.some((name) => request[name] !== undefined);
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
    const { steps, guidance } = this.#offer;
    this.#suitSchedulers("scheduler", `The model's own (${this.#offer.scheduler})`);
    this.#suitSchedulers("hires-scheduler", "As the first pass");
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
    fillChoice(this.#vae, [["", [
      ["", "The model's own"],
      ...additions.vae.map((name) => [name, name] as const),
    ]]]);
    this.#guides.suit(this.#offer);
    const caches = this.#offer.caches.map((kind) => [kind, CACHES[kind] ?? kind] as const);
    fillChoice(this.#cache, [["", [["", "None"], ...caches]]]);
    this.#originals.suit(this.#offer.images);
    this.#suitSides();
  }

  /** Shows the schedulers that fit the model; one that was chosen stays where it does. */
  #suitSchedulers(id: string, usual: string): void {
    const { schedulers } = this.#offer;
    const field = byId(id, HTMLSelectElement);
    const chosen = field.value;
    const pairs = (names: readonly string[]) => names.map((name) => [name, name] as const);
    fillChoice(field, [
      ["", [["", usual]]],
      ["Samplers", pairs(schedulers.filter((name) => !name.endsWith(" Karras")))],
      ["With Karras' spread of the steps", pairs(schedulers.filter((name) => name.endsWith(" Karras")))],
    ]);
    field.value = schedulers.includes(chosen) ? chosen : "";
  }

  /** Shows the sides that are usual with the chosen autoencoder. */
  #suitSides(): void {
    this.#sides.suit(this.#offer.sidesWith[this.#vae.value] ?? this.#offer);
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
