/** The address of a queue's server. */
export interface QueueAddress {
  /** For messages: without user and password. */
  readonly shown: string;
  /** As ioredis reads it: a URL, or a path with the database behind it. */
  readonly place: string;
  /** User and password beside a path; a URL has them itself. */
  readonly login: { readonly username?: string; readonly password?: string };
}

const EXPECTED = "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// for TLS, " +
  "or unix://[USER:PASSWORD@]/PATH[?db=DATABASE] for a socket of this machine";

/** The socket of this machine: `unix:///run/valkey.sock?db=3`, also as `redis+unix:`. */
const SOCKET = /^(?:redis\+)?unix:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?(\/[^?#]+)(\?db=\d+)?$/;

/** Reads an address. What is wrong is said without the password that may be in it. */
export function queueAddress(text: string): QueueAddress {
  if (!isDecodable(text)) throw wrong("one whose % encodes nothing; write %25 for it");
  const [, user, password, path, database = ""] = SOCKET.exec(text) ?? [];
  if (path !== undefined) {
    const login = {
      ...user ? { username: decodeURIComponent(user) } : {},
      ...password ? { password: decodeURIComponent(password) } : {},
    };
    return { shown: `unix://${path}${database}`, place: decodeURIComponent(path) + database, login };
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isServer = /^rediss?:$/.test(url?.protocol ?? "") && url!.hostname !== "" &&
    !url!.host.includes(",") &&
    /^(\/\d*)?$/.test(url!.pathname);
  if (isServer) return { shown: shownUrl(url!), place: text, login: {} };
  throw wrong(described(text, url));
}

function wrong(got: string): TypeError {
  return new TypeError(`Cannot take --queue: expected ${EXPECTED}, got ${got}`);
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function described(text: string, url: URL | undefined): string {
  const [scheme = ""] = /^[\w+-]+(?=:\/\/)/.exec(text) ?? [];
  if (/sentinel/.test(scheme)) return "one of Sentinel; say that of the primary which it watches";
  if (/cluster/.test(scheme)) {
    return "one of a cluster, over which a queue cannot be spread; say that of a server alone";
  }
  if (/^rediss?$/.test(scheme) && text.includes(",")) {
    return "several; a queue is on one server, say that of the primary";
  }
  if (/unix|socket/.test(scheme)) {
    return /:\/\/([^@/]*@)?[^/]/.test(text)
      ? "a path that does not begin with /"
      : "a socket's in another form";
  }
  if (/^\/[^/@][^@]*$/.test(text)) return `a path; say unix://${text}`;
  if (!url) return "another text";
  return url.hostname === "" ? "an address without a host" : shownUrl(url);
}

function shownUrl({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`;
}
