// The activation functions by their names in Hugging Face transformers (activations.py). GELU: Hendrycks and
// Gimpel 2016; its tanh form is the one of GPT-1 and GPT-2. The includer has the constant ACTIVATION.

// The error function to 1.5e-7 (Abramowitz and Stegun 7.1.26).
float erf(float v)
{
    float z = abs(v), t = 1.0 / (1.0 + 0.3275911 * z);
    float poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(v) * (1.0 - poly * exp(-z * z));
}

float activate(float v)
{
    if (ACTIVATION == ACTIVATE_NONE) return v;
    if (ACTIVATION == ACTIVATE_RELU) return max(v, 0.0);
    if (ACTIVATION == ACTIVATE_SILU) return v / (1.0 + exp(-v));
    if (ACTIVATION == ACTIVATE_QUICK_GELU) return v / (1.0 + exp(-1.702 * v));
    if (ACTIVATION == ACTIVATE_GELU_ERF) return 0.5 * v * (1.0 + erf(v * 0.70710678118654752));
    // 0.5 v (1 + tanh(u)) = v / (1 + exp(-2u)): tanh() itself overflows on some drivers
    float u = 0.79788456080286536 * (v + 0.044715 * v * v * v);
    return v / (1.0 + exp(-2.0 * u));
}
