export {
  checkCallOptions,
  type RefusalMaker as Refuse,
  refusalMaker as refusal,
} from "./checks.ts";
export { isRecord } from "./fields.ts";
