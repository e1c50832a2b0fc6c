import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import type { Address } from "./address.ts";
import { RefusalError } from "../request/refusal.ts";

const SHOWN = 100; // characters of what a client made up, in messages

/** Names by which a server on this machine alone may be called. */
export const LOOPBACK: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Refuses requests for other hosts than these, whatever address they come to: a page whose own name leads here (DNS
 * rebinding) gets nothing. Refuses those of other sites' pages, too, which browsers send without asking.
 */
export function ownHost(hosts: readonly string[] | undefined, address: Address): MiddlewareHandler {
  return async ({ req }, next) => {
    const host = req.header("host") ?? "";
    const name = host.replace(/:\d+$/, "").toLowerCase();
    if (hosts && name !== address.host && !hosts.includes(name)) {
      const message = `Cannot answer for the host ${JSON.stringify(name.slice(0, SHOWN))}: expected ${
        hosts.join(" or ")
      }`;
      throw new RefusalError("forbidden", message);
    }
    const origin = req.header("origin");
    if (origin !== undefined && origin !== address.origin && !isOf(origin, host)) {
      throw new RefusalError(
        "forbidden",
        "Cannot answer a page of another site: call from a program, or from here",
      );
    }
    await next();
  };
}

function isOf(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

/**
 * Refuses requests without the key, as a bearer token or, as A1111's clients send it, as the password of any user; how long
 * that takes tells nothing about the key.
 */
export function withKey(key: string): MiddlewareHandler {
  const wanted = digest(key);
  return async ({ req }, next) => {
    const given = keyIn(req.header("authorization") ?? "");
    if (given === undefined || !readingsOf(given).some((key) => timingSafeEqual(digest(key), wanted))) {
      const got = given === undefined ? "none" : "another";
      throw new RefusalError(
        "unauthorized",
        `Cannot answer: expected this server's key as a bearer token, got ${got}`,
      );
    }
    await next();
  };
}

/** The key in a header; undefined where there is none. */
function keyIn(header: string): string | undefined {
  const [, scheme, rest] = /^(Bearer|Basic) +(.+)$/i.exec(header) ?? [];
  if (rest === undefined || scheme!.toLowerCase() === "bearer") return rest;
  const [, password] = /^[^:]*:(.*)$/s.exec(Buffer.from(rest, "base64").toString()) ?? [];
  return password;
}

/** A header's text as it is read, byte by byte, and as clients mean it that write UTF-8. */
function readingsOf(text: string): readonly string[] {
  return [text, Buffer.from(text, "latin1").toString()];
}

/** Of one length whatever the text. */
function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
