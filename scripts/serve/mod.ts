/** A queue of requests on one device, and servers over it. @module */
export { Drawer, type DrawerOptions } from "./draw/drawer.ts";
export type { Drawing, DrawnPicture, DrawOptions, DrawProgress } from "./draw/drawing.ts";
export type { DrawerEvent, DrawnEvent } from "./draw/events.ts";
export { LOOPBACK } from "./http/guard.ts";
export { createHandler, type HandlerOptions } from "./handler.ts";
export { Interruption } from "./draw/interruption.ts";
export type { LogEntry } from "./http/log.ts";
export type { Size } from "../command_line/options.ts";
export type { ModelOptions } from "./models/models.ts";
export type { Addition, AdditionContent } from "../generate/contents.ts";
export type { HiresSettings, UpscalerName } from "../generate/hires.ts";
export type { Additions, Offer, OfferedAddition, Versions } from "./models/offered.ts";
export type { ModelOffer, Offers } from "./draw/offers.ts";
export type { Sides } from "../generate/usual.ts";
export type { StepProfile } from "./draw/profile_task.ts";
export { RefusalError, type RefusalKind } from "./request/refusal.ts";
export { type DrawRequest, readRequest, type RequestSettings } from "./request/request.ts";
export { BODY, LIMITS, type Limits } from "./request/limits.ts";
