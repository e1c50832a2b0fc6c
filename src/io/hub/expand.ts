/** Paths in variables, as Python's os.path.expandvars(os.path.expanduser(path)) reads them. */

/** Reads one variable; undefined where it is not set. */
export type Env = (name: string) => string | undefined;

/**
 * A path with `~` and `~user` as homes, then `$NAME` and `${NAME}` as variables, on Windows `%NAME%` too. What is
 * unknown stays as it is: systemd, Docker and /etc/environment leave all of it to the program.
 */
export function expandPath(path: string, env: Env): string {
  const names = Deno.build.os === "windows" ? /\$(\w+|\{[^}]*\})|%([^%]+)%/g : /\$(\w+|\{[^}]*\})/g;
  return expandUser(path, env).replace(names, (whole, name: string | undefined, percent = "") => {
    const plain = name?.replace(/^\{|\}$/g, "") ?? percent;
    const readable = plain !== "" && !/[=\0]/.test(plain); // others can be of no variable
    return (readable ? env(plain) : undefined) ?? whole;
  });
}

function expandUser(path: string, env: Env): string {
  const [tilde, user] = /^~([^/\\]*)/.exec(path) ?? [];
  if (tilde === undefined) return path;
  const home = user ? homeOf(([name]) => name === user) : homeFolder(env);
  return home === undefined ? path : home.replace(/\/+$/, "") + path.slice(tilde.length) || "/";
}

/** The user's home, where the machine tells it. */
export function homeFolder(env: Env): string | undefined {
  if (Deno.build.os !== "windows") return env("HOME") ?? homeOf(([, , uid]) => uid === `${userId()}`);
  const path = env("HOMEPATH");
  return env("USERPROFILE") ?? (path === undefined ? undefined : (env("HOMEDRIVE") ?? "") + path);
}

/** The home in the first line of /etc/passwd that fits. */
function homeOf(fits: (fields: string[]) => boolean): string | undefined {
  try {
    return Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => line.split(":")).find(fits)?.[5];
  } catch {
    return undefined; // Windows has no such file, and Deno may not read it
  }
}

function userId(): number | null {
  try {
    return Deno.uid();
  } catch {
    return null; // Deno may not ask
  }
}
