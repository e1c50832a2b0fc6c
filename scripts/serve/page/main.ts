/** The page of a server: the form makes requests, the stage shows what is drawn, the gallery keeps it. */
import { byId } from "./dom.ts";
import { Form } from "./form.ts";
import { Gallery } from "./gallery.ts";
import { type PictureRecord, Records } from "./records.ts";
import type { PageRequest } from "./request.ts";
import { Server, ServerError } from "./server.ts";
import { Stage } from "./stage.ts";

const drawButton = byId("draw", HTMLButtonElement);
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
  const records = await Records.open();
  const gallery = new Gallery(records, choose);
  await gallery.showMore();
  const form = new Form(await server.offers());
  drawButton.disabled = false;
  form.onDraw(() => run(form.read()));
  onClick("replay", (record) => run([record.request], record));
  onClick("use-settings", (record) => use(record.request));
  onClick("use-picture", async ({ png }) => {
    await form.picture.take(png);
    byId("settings", HTMLDetailsElement).open = true;
    byId("picture", HTMLElement).scrollIntoView({ block: "center" });
    byId("mask-open", HTMLElement).focus();
  });
  onClick("delete", async (record) => {
    await gallery.remove(record);
    stage.clear();
  });
  takeFiles((file) => form.takes("image") && guarded(() => form.picture.take(file)));

  /** Draws requests one after the other and keeps their pictures; the one after `old` is compared with it. */
  async function run(requests: readonly PageRequest[], old?: PictureRecord): Promise<void> {
    if (running) return;
    const { signal } = running = new AbortController();
    begin();
    await guarded(() => drawAll(requests, signal, old), signal, form);
    running = undefined;
    rest();
  }

  async function drawAll(
    requests: readonly PageRequest[],
    signal: AbortSignal,
    old?: PictureRecord,
  ): Promise<void> {
    for (const [i, request] of requests.entries()) {
      stage.work(request);
      if (requests.length > 1) stage.tell(`Picture ${i + 1} of ${requests.length}`);
      else stage.tellListeners("Drawing");
      const drawn = await server.draw(request, {
        signal,
        onProgress: (progress) => stage.progress(progress),
        onPreview: (address) => stage.preview(address),
      });
      if (old && await equal(old.png, drawn.png)) {
        show(old);
        stage.tell("Drawn again: the same picture, byte for byte.", ...old.notices);
        continue;
      }
      const made = { ...drawn, request, created: Date.now() };
      show({ ...made, id: -1 }); // even where it cannot be kept
      const record = await records.add(made);
      gallery.add(record);
      show(record);
      if (old) stage.tell("Drawn again: other bytes, as the server has changed. Both are kept.");
      else if (record.notices.length > 0) stage.tell(...record.notices);
      else stage.tellListeners("Drawn");
    }
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

  async function use(request: PageRequest): Promise<void> {
    const lost = await form.fill(request);
    const missing = lost.length > 0 ? `This server does not offer ${lost.join(" or ")}.` : "";
    stage.tell("The form has its settings.", missing);
    byId("prompt", HTMLElement).focus();
  }

  function onClick(id: string, act: (record: PictureRecord) => void | Promise<void>): void {
    byId(id, HTMLButtonElement).addEventListener("click", () => {
      const { record } = stage;
      if (record) guarded(async () => await act(record));
    });
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
  const hadFocus = document.activeElement === drawButton;
  [drawButton.disabled, cancelButton.hidden] = [true, false];
  if (hadFocus) cancelButton.focus();
  if (narrow.matches) byId("stage", HTMLElement).scrollIntoView({ block: "nearest" });
}

function rest(): void {
  const hadFocus = document.activeElement === cancelButton;
  [drawButton.disabled, cancelButton.hidden] = [false, true];
  if (hadFocus) drawButton.focus();
  stage.rest();
}

/** Takes pictures that are chosen, dropped on the page or pasted into it. */
function takeFiles(take: (file: File) => void): void {
  const field = byId("picture-file", HTMLInputElement);
  field.addEventListener("change", () => field.files?.[0] && take(field.files[0]));
  const pick = (event: Event, data: DataTransfer | null) => {
    const file = data?.files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  };
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => pick(event, event.dataTransfer));
  addEventListener("paste", (event) => pick(event, event.clipboardData));
}

/** True for files of the same bytes. */
async function equal(a: Blob, b: Blob): Promise<boolean> {
  const [x, y] = (await Promise.all([a.arrayBuffer(), b.arrayBuffer()])).map((file) => new Uint8Array(file));
  return x!.length === y!.length && x!.every((value, i) => value === y![i]);
}

/** Asks the user for the server's key. */
async function askKey(isWrong: boolean): Promise<string> {
  const dialog = byId("key", HTMLDialogElement);
  const field = byId("key-text", HTMLInputElement);
  byId("key-why", HTMLElement).textContent = isWrong
    ? "The server does not take this key."
    : "The server wants a key. It is kept until this tab is closed.";
  field.value = "";
  const { promise, resolve } = Promise.withResolvers<string>();
  const submit = (event: Event) => {
    event.preventDefault();
    dialog.close();
    resolve(field.value);
  };
  const form = byId("key-form", HTMLFormElement);
  form.addEventListener("submit", submit, { once: true });
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  return await promise;
}
