// In a wave of forms this one does a small sum before it is sent: a second on a phone, much for a million forms.
// Nothing is fetched and nothing is stored. Without this script the form goes as it is, and may wait a while.
"use strict";

const SUMS = 32;
const ZEROS = 11;
const ROUND = Uint32Array.from({ length: 64 }, (_, place) => root(prime(place), 3));
const START = Uint32Array.from({ length: 8 }, (_, place) => root(prime(place), 2));

function prime(place) {
  let found = 1;
  for (let left = place; left >= 0; left -= 1) {
    do found += 1;
    while ([...Array(found - 2).keys()].some((less) => found % (less + 2) === 0));
  }
  return found;
}

// FIPS 180-4 §4.2.2: the first 32 bits of the fractional part of a prime's root, by whole numbers alone.
function root(number, power) {
  const wanted = BigInt(number) << BigInt(32 * power);
  let low = 0n;
  let high = 1n << 40n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** BigInt(power) <= wanted) low = middle;
    else high = middle;
  }
  return Number(low & 0xffffffffn);
}

const turn = (word, by) => (word >>> by) | (word << (32 - by));

// SHA-256 (FIPS 180-4 §6.2.2) of one block of sixteen words, into a state of eight.
function block(state, words, schedule) {
  for (let place = 0; place < 16; place += 1) schedule[place] = words[place];
  for (let place = 16; place < 64; place += 1) {
    const one = schedule[place - 15];
    const two = schedule[place - 2];
    const small = turn(one, 7) ^ turn(one, 18) ^ (one >>> 3);
    const great = turn(two, 17) ^ turn(two, 19) ^ (two >>> 10);
    schedule[place] = (schedule[place - 16] + small + schedule[place - 7] + great) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let place = 0; place < 64; place += 1) {
    const great = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    const first = (h + great + ((e & f) ^ (~e & g)) + ROUND[place] + schedule[place]) | 0;
    const small = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
    const second = (small + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  const added = [a, b, c, d, e, f, g, h];
  for (let place = 0; place < 8; place += 1) state[place] = (state[place] + added[place]) | 0;
  return state;
}

function digest(bytes) {
  const padded = new Uint8Array(((bytes.length + 72) >> 6) << 6);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, bytes.length * 8);
  const state = Int32Array.from(START);
  const schedule = new Int32Array(64);
  for (let at = 0; at < padded.length; at += 64) {
    block(state, Int32Array.from({ length: 16 }, (_, place) => view.getInt32(at + 4 * place)), schedule);
  }
  return state;
}

// One sum: a number whose digest, behind the seed and the sum's place, begins with zeros.
function sum(seed, place) {
  const words = new Int32Array(16);
  words.set(seed);
  // Behind the seed: the place (1 byte), the number (4), the padding, and the length of 37 bytes in bits.
  words[15] = 37 * 8;
  const state = new Int32Array(8);
  const schedule = new Int32Array(64);
  for (let number = 0; ; number += 1) {
    words[8] = (place << 24) | (number >>> 8);
    words[9] = ((number & 0xff) << 24) | 0x800000;
    state.set(START);
    block(state, words, schedule);
    if (state[0] >>> (32 - ZEROS) === 0) return number;
  }
}

function seedOf(stamp, address) {
  return digest(new TextEncoder().encode(`${stamp}|${address.trim()}`));
}

function solve(stamp, address) {
  const seed = seedOf(stamp, address);
  return Array.from({ length: SUMS }, (_, place) => sum(seed, place).toString(16)).join(".");
}

async function sent(event) {
  const form = event.target;
  const proof = form.elements.namedItem("proof");
  if (proof.value) return;
  event.preventDefault();
  const status = form.querySelector("[role=status]");
  status.textContent = status.dataset.wait;
  const seed = seedOf(form.elements.namedItem("stamp").value, form.elements.namedItem("email").value);
  const found = [];
  for (let place = 0; place < SUMS; place += 1) {
    found.push(sum(seed, place).toString(16));
    // The page goes on answering fingers meanwhile.
    if (place % 4 === 3) await new Promise((done) => setTimeout(done));
  }
  proof.value = found.join(".");
  form.submit();
}

if (typeof document !== "undefined") {
  for (const form of document.querySelectorAll("form[data-sums]")) {
    form.addEventListener("submit", sent);
    form.elements.namedItem("email").addEventListener("input", () => (form.elements.namedItem("proof").value = ""));
  }
} else {
  // Outside of a browser, for the test that compares it with the server's.
  console.log(solve(process.argv[2], process.argv[3]));
}
