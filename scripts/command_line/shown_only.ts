/** Imported by scripts that save pictures: what they print beside is lost where it cannot be written, and no picture. */
import { ignoringErrors } from "../../src/core/shown.ts";

const { log } = console;
console.log = (...words) => ignoringErrors(() => log(...words));
