/**
 * Chat with documents: stores the Markdown files of a folder in an embedded Postgres with pgvector, and answers from the
 * parts that match the question, naming its sources:
 *
 *     deno run -A examples/documents.ts "How do I stop a stream?" docs documents.db
 *
 * The third argument is a folder to keep the database in; then only changed files are read again. The database is part of
 * this program, so only one run at a time may use it.
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import { PGlite } from "npm:@electric-sql/pglite@0.5.14";
// This extension requires exactly this version of the database.
import { vector } from "npm:@electric-sql/pglite-pgvector@0.0.15";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [question = "How do I stop a stream?", folder = "docs", database = "memory://"] = process.argv
  .slice(2);
/** In characters: short enough for several parts to fit into the context, long enough to be useful. */
const LONGEST_PART = 1_500;
const PARTS_PER_QUESTION = 5;
/** The model bundled with LM Studio was trained with these prefixes; they do not hurt other models. */
const [FOR_DOCUMENTS, FOR_QUESTIONS] = ["search_document: ", "search_query: "];

const lmstudio = new LMStudioProvider();
const db = new PGlite({ dataDir: database, extensions: { vector } });
try {
  await db.exec(`
    create extension if not exists vector;
    create table if not exists parts (file text, version text, position int, body text, embedding vector);
  `);
  const { model, embeddings } = await lmstudio.embed({ input: FOR_QUESTIONS + question });
  await readFolder(folder, model);
  await answer(question, embeddings[0] ?? []);
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
} finally {
  await db.close();
}

/** @param model the embedding model: the vectors of another one cannot be compared with its vectors. */
async function readFolder(folder: string, model: string): Promise<void> {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".md")).sort();
  await db.query("delete from parts where file <> all($1)", [files]);
  for (const file of files) {
    const text = await readFile(join(folder, file), "utf8");
    const version = await hash(`${model}\n${text}`);
    const { rows } = await db.query("select from parts where file = $1 and version = $2 limit 1", [
      file,
      version,
    ]);
    if (rows.length > 0) continue;
    const parts = split(text);
    const input = parts.map((part) => FOR_DOCUMENTS + part);
    const { embeddings } = input.length === 0
      ? { embeddings: [] }
      : await lmstudio.embed({ input });
    await db.transaction(async (db) => {
      await db.query("delete from parts where file = $1", [file]);
      for (const [position, part] of parts.entries()) {
        const row = [file, version, position, part, JSON.stringify(embeddings[position])];
        await db.query("insert into parts values ($1, $2, $3, $4, $5)", row);
      }
    });
    if (parts.length > 0) console.error(`read ${file}: ${parts.length} parts`);
  }
}

/** Splits at blank lines and joins paragraphs up to the length limit; a longer paragraph stays whole. */
function split(text: string): string[] {
  const parts: string[] = [];
  for (const paragraph of text.split(/\n\s*\n/)) {
    const last = parts.at(-1);
    const isHeading = paragraph.startsWith("#");
    if (last !== undefined && !isHeading && last.length + paragraph.length < LONGEST_PART) {
      parts[parts.length - 1] = `${last}\n\n${paragraph}`;
    } else if (paragraph.trim() !== "") parts.push(paragraph);
  }
  return parts;
}

async function answer(question: string, embedding: readonly number[]): Promise<void> {
  const { rows } = await db.query<{ file: string; body: string; distance: number }>(
    `select file, body, embedding <=> $1 as distance from parts order by distance limit $2`,
    [JSON.stringify(embedding), PARTS_PER_QUESTION],
  );
  const excerpts = rows.map(({ body }, index) => `[${index + 1}] ${body}`).join("\n\n");
  const stream = lmstudio.streamCompletion({
    messages: [
      {
        role: "system",
        content:
          "Answer only from these excerpts, and cite those you used, such as [1]. If they do not " +
          `answer the question, say so.\n\n${excerpts}`,
      },
      question,
    ],
  });
  for await (const text of stream.textStream) process.stdout.write(text);
  console.log("\n");
  for (const [index, { file, distance }] of rows.entries()) {
    console.log(`[${index + 1}] ${file} (${(1 - distance).toFixed(2)})`);
  }
}

async function hash(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
