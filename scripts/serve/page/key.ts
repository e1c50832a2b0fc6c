import { byId } from "./dom.ts";

/** Asks the user for the server's key. */
export async function askKey(isWrong: boolean): Promise<string> {
  const dialog = byId("key", HTMLDialogElement);
  const field = byId("key-text", HTMLInputElement);
  byId("key-why", HTMLElement).textContent = isWrong
    ? "The server does not take this key."
    : "The server wants a key. It is kept until this tab is closed.";
  field.value = "";
  const { promise, resolve } = Promise.withResolvers<string>();
  const submit = (event: Event) => {
    event.preventDefault();
    resolve(field.value);
  };
  const form = byId("key-form", HTMLFormElement);
  form.addEventListener("submit", submit, { once: true });
  const ask = () => dialog.showModal(); // again where Escape closed it: without a key there is nothing to do
  dialog.addEventListener("close", ask);
  ask();
  const key = await promise;
  dialog.removeEventListener("close", ask);
  dialog.close();
  return key;
}
