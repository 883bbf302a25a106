export { describe, describeType } from "./checks.ts";
