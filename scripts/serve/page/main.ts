/** The page of a server: the form makes requests, the stage shows what is drawn, the gallery keeps it. */
import { byId } from "./dom.ts";
import { askWhatFor, takeFiles } from "./files.ts";
import { Form } from "./form.ts";
import { Gallery } from "./gallery.ts";
import { askKey } from "./key.ts";
import { smallOf } from "./pixels.ts";
import { recipeIn } from "./recipe.ts";
import { PassingRecords, type PictureRecord, type Records, StoredRecords } from "./records.ts";
import type { PageRequest } from "./request.ts";
import { Server, ServerError } from "./server.ts";
import { Stage } from "./stage.ts";

const DRAFT = "draft"; // in the tab's storage: what is in the form when the page is opened again

const drawButton = byId("draw", HTMLButtonElement);
const profileButton = byId("profile", HTMLButtonElement);
const cancelButton = byId("cancel", HTMLButtonElement);
const error = byId("error", HTMLElement);
const narrow = matchMedia("(max-width: 760px)");
byId("settings", HTMLDetailsElement).open = !narrow.matches;

const server = new Server(askKey);
const stage = new Stage();
let running: AbortController | undefined;
addEventListener("pagehide", () => running?.abort());
cancelButton.addEventListener("click", () => running?.abort());

await guarded(start);

async function start(): Promise<void> {
  const records = await openRecords();
  const gallery = new Gallery(records, choose);
  await gallery.showMore();
  const form = new Form(await server.offers(), guarded);
  await form.fill(draftOf(sessionStorage.getItem(DRAFT)));
  addEventListener("pagehide", () => sessionStorage.setItem(DRAFT, JSON.stringify(form.draft())));
  drawButton.disabled = profileButton.disabled = false;
  form.onSubmit(
    () => run((signal) => drawAll(form.read(), signal)),
    () => run((signal) => profile(form.read()[0]!, signal)),
  );
  onClick("replay", (record) => run((signal) => drawAll([record.request], signal, record)));
  onClick("use-settings", (record) => use(record.request));
  onClick("use-picture", async ({ png }) => {
    await form.take(png);
    form.showPicture();
  });
  onClick("delete", async (record) => {
    await gallery.remove(record);
    stage.clear();
    stage.tell("");
  });
  takeFiles((file, isChosen) => guarded(() => receive(file, isChosen)));

  /** Does work that one request after the other is sent for, until it is done or cancelled. */
  async function run(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (running) return;
    const { signal } = running = new AbortController();
    const done = guarded(() => work(signal), signal, form);
    begin();
    await done;
    running = undefined;
    rest();
  }

  /** Draws requests one after the other and keeps their pictures; the one after `old` is compared with it. */
  async function drawAll(
    requests: readonly PageRequest[],
    signal: AbortSignal,
    old?: PictureRecord,
  ): Promise<void> {
    for (const [i, request] of requests.entries()) {
      stage.work(request);
      if (requests.length > 1) stage.tell(`Picture ${i + 1} of ${requests.length}`);
      else stage.tellListeners("Drawing");
      let begun: number | undefined;
      const drawn = await server.draw(request, {
        signal,
        onProgress: (progress) => {
          if (progress.phase === "drawing") begun ??= performance.now();
          stage.progress(progress);
        },
        onPreview: (address) => stage.preview(address),
        onLost: () => stage.lose(),
      });
      const seconds = begun === undefined ? {} : { seconds: (performance.now() - begun) / 1000 };
      if (old && await equal(old.png, drawn.png)) {
        show(old);
        stage.tell("Drawn again: the same picture, byte for byte.", ...old.notices);
        continue;
      }
      const made = {
        ...drawn,
        ...seconds,
        request,
        created: Date.now(),
        small: await smallOf(drawn.png, drawn),
      };
      show({ ...made, id: -1 }); // even where it cannot be kept
      const record = await records.add(made);
      gallery.add(record);
      show(record);
      if (old) stage.tell("Drawn again: other bytes, as the server has changed. Both are kept.");
      else if (record.notices.length > 0) stage.tell(...record.notices);
      else stage.tellListeners("Drawn");
    }
  }

  async function profile(request: PageRequest, signal: AbortSignal): Promise<void> {
    stage.work(request);
    stage.tellListeners("Measuring a step");
    const profile = await server.profile(request, {
      signal,
      onProgress: (progress) => stage.progress(progress),
      onPreview: () => {}, // there are none
      onLost: () => stage.lose(),
    });
    stage.showProfile(profile);
  }

  function show(record: PictureRecord): void {
    stage.show(record);
    gallery.mark(record);
  }

  /** Shows a picture of the gallery, unless another is drawn. */
  function choose(record: PictureRecord): void {
    if (running) return;
    show(record);
    stage.tell(...record.notices);
  }

  async function use(settings: Partial<PageRequest>, left: readonly string[] = []): Promise<void> {
    const lost = await form.fill(settings);
    const lines = ["The form has its settings."];
    if (lost.length > 0) lines.push(`This server does not offer ${lost.join(" or ")}.`);
    if (left.length > 0) lines.push(`Not taken from the file: ${left.join(", ")}.`);
    stage.tell(...lines);
    byId("prompt", HTMLElement).focus();
  }

  /** Takes a file that came: its settings, where it has some and the user wants them, or its picture. */
  async function receive(file: File, isChosen: boolean): Promise<void> {
    const takesIt = form.takes("image");
    const info = isChosen || file.type !== "image/png" ? undefined : await server.pngInfo(file);
    const recipe = info && recipeIn(info);
    const wish = recipe ? await askWhatFor(file, recipe.settings, takesIt) : "change";
    if (wish === "use") await use(recipe!.settings, recipe!.left);
    else if (wish === "change" && takesIt) await form.take(file);
  }

  function onClick(id: string, act: (record: PictureRecord) => void | Promise<void>): void {
    byId(id, HTMLButtonElement).addEventListener("click", () => {
      const { record } = stage;
      if (record) guarded(async () => await act(record));
    });
  }
}

/** Settings as the form had them, without pictures. */
function draftOf(text: string | null): Partial<PageRequest> {
  try {
    return JSON.parse(text ?? "{}");
  } catch {
    return {};
  }
}

/** The pictures that the browser keeps; where it keeps none, those of this page. */
async function openRecords(): Promise<Records> {
  try {
    return await StoredRecords.open();
  } catch {
    byId("kept", HTMLElement).textContent =
      "Kept until this page is closed: the browser lets it store nothing.";
    return new PassingRecords();
  }
}

/** Does something, and shows the user what went wrong, unless it was ended by a signal. */
async function guarded(act: () => Promise<void>, signal?: AbortSignal, form?: Form): Promise<void> {
  error.textContent = "";
  try {
    await act();
  } catch (thrown) {
    stage.tell(signal?.aborted ? "Cancelled." : "");
    if (signal?.aborted) return;
    error.textContent = (thrown as Error).message;
    if (thrown instanceof ServerError) form?.mark(thrown.param);
    else console.error(thrown);
  }
}

function begin(): void {
  const hadFocus = document.activeElement === drawButton || document.activeElement === profileButton;
  drawButton.disabled = profileButton.disabled = true;
  if (hadFocus) cancelButton.focus();
  if (narrow.matches) byId("about", HTMLElement).scrollIntoView({ block: "end" }); // the picture and what is below it
}

function rest(): void {
  const hadFocus = document.activeElement === cancelButton;
  drawButton.disabled = profileButton.disabled = false;
  if (hadFocus) drawButton.focus();
  stage.rest();
}

/** True for files of the same bytes. */
async function equal(a: Blob, b: Blob): Promise<boolean> {
  const [x, y] = (await Promise.all([a.arrayBuffer(), b.arrayBuffer()])).map((file) => new Uint8Array(file));
  return x!.length === y!.length && x!.every((value, i) => value === y![i]);
}
