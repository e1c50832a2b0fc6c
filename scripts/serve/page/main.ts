/** The page of a server: the form makes requests, which wait in a line; the stage shows what is drawn, the gallery keeps it. */
import { byId } from "./dom.ts";
import { askWhatFor, takeFiles } from "./files.ts";
import { Follower } from "./follower.ts";
import { Form } from "./form.ts";
import { Gallery } from "./gallery.ts";
import { askKey } from "./key.ts";
import { Line, type Wish } from "./line.ts";
import { recipeIn } from "./recipe.ts";
import { PassingRecords, type PictureRecord, type Records, StoredRecords } from "./records.ts";
import type { PageRequest } from "./request.ts";
import { Server, ServerError } from "./server.ts";
import { Stage } from "./stage.ts";
import { Waiting } from "./waiting.ts";

const DRAFT = "draft"; // in the tab's storage: what is in the form when the page is opened again

const drawButton = byId("draw", HTMLButtonElement);
const profileButton = byId("profile", HTMLButtonElement);
const cancelButton = byId("cancel", HTMLButtonElement);
const error = byId("error", HTMLElement);
const narrow = matchMedia("(max-width: 760px)");
byId("settings", HTMLDetailsElement).open = !narrow.matches;

const server = new Server(askKey);
const stage = new Stage();

await guarded(start);

async function start(): Promise<void> {
  const records = await openRecords();
  const gallery = new Gallery(records, choose);
  await gallery.showMore();
  const form = new Form(await server.offers(), guarded);
  await form.fill(draftOf(sessionStorage.getItem(DRAFT)));
  const line = lineOf(new Follower(server, stage, records, gallery), form);
  addEventListener("pagehide", () => {
    sessionStorage.setItem(DRAFT, JSON.stringify(form.draft()));
    line.cancelAll();
  });
  drawButton.disabled = profileButton.disabled = false;
  form.onSubmit(
    () => ask(() => form.read().map((request) => ({ kind: "picture", request }))),
    () => ask(() => [{ kind: "profile", request: form.read()[0]! }]),
  );
  onClick("replay", (old) => ask(() => [{ kind: "picture", request: old.request, old }]));
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
  cancelButton.addEventListener("click", () => line.cancelCurrent());
  byId("watch", HTMLButtonElement).addEventListener("click", () => {
    stage.watch();
    cancelButton.focus();
  });
  takeFiles((file, isChosen) => guarded(() => receive(file, isChosen)));

  /** Puts wishes into the line, and shows it. */
  function ask(wishes: () => Wish[]): void {
    guarded(async () => {
      const added = line.add(wishes());
      stage.watch();
      if (narrow.matches) byId("stage", HTMLElement).scrollIntoView({ block: "end" });
      await added;
    }, form);
  }

  /** Shows a picture of the gallery. */
  function choose(record: PictureRecord): void {
    stage.look(record);
    gallery.mark(record);
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

/** The line of the page: what comes of it is shown by `follower`, what waits in its list. */
function lineOf(follower: Follower, form: Form): Line {
  const waiting = new Waiting({
    cancel: (turn) => line.cancel(turn),
    retry: (turn) => guarded(() => line.retry(turn), form),
  });
  const line: Line = new Line(server, {
    begin: (wish) => follower.begin(wish),
    follow: (wish, job, signal) => follower.follow(wish, job, signal),
    cancelled: () => stage.tell("Cancelled."),
    failed: (thrown) => tell(thrown, form),
    rest: () => {
      const hadFocus = document.activeElement === cancelButton;
      stage.rest();
      if (hadFocus) drawButton.focus();
    },
    show: (turns, isFull) => waiting.show(turns, isFull),
  });
  byId("cancel-all", HTMLButtonElement).addEventListener("click", () => line.cancelAll());
  return line;
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

/** Does something, and shows the user what went wrong. */
async function guarded(act: () => Promise<void>, form?: Form): Promise<void> {
  error.textContent = "";
  try {
    await act();
  } catch (thrown) {
    tell(thrown as Error, form);
  }
}

/** Shows the user what went wrong, in the form where it is of a setting. */
function tell(thrown: Error, form?: Form): void {
  stage.tell("");
  error.textContent = thrown.message;
  if (thrown instanceof ServerError) form?.mark(thrown.param);
  else console.error(thrown);
}
