// The error function, to 1.2e-7 (Press et al. 2007, Numerical Recipes, 3rd ed., section 6.2.2).
function erf(x) {
  const t = 1 / (1 + Math.abs(x) / 2);
  let sum = 0;
  for (const c of [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196,
    1.00002368, -1.26551223]) sum = sum * t + c;
  const rest = t * Math.exp(sum - x * x);
  return x < 0 ? rest - 1 : 1 - rest;
}
