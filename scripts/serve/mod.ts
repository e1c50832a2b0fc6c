/** A queue of requests on one device, and servers over it. @module */
export { Drawer, type DrawerOptions } from "./drawer.ts";
export type { Drawing, DrawnPicture, DrawOptions, DrawProgress } from "./drawing.ts";
export type { DrawerEvent, DrawnEvent } from "./events.ts";
export { LOOPBACK } from "./guard.ts";
export { createHandler, type HandlerOptions } from "./handler.ts";
export { Interruption } from "./interruption.ts";
export type { LogEntry } from "./log.ts";
export type { Size } from "../command_line/options.ts";
export type { ModelOptions } from "./models.ts";
export type { Addition } from "../generate/contents.ts";
export type { Additions, Offer, OfferedAddition, Versions } from "./offered.ts";
export type { ModelOffer, Offers } from "./offers.ts";
export type { StepProfile } from "./profile_task.ts";
export { RefusalError, type RefusalKind } from "./refusal.ts";
export { type DrawRequest, readRequest } from "./request.ts";
export { BODY, LIMITS, type Limits } from "./limits.ts";
