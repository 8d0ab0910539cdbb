"""From LLVM text to an object file."""

import llvmlite.binding as llvm

from mobilenets.engine.targets.target import Target


def compile_object(text: str, target: Target) -> bytes:
    """An object file for a target from LLVM text; LLVM's RuntimeError where the text is wrong."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = target_machine(target)
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return bytes(machine.emit_object(module))


def target_machine(target: Target) -> llvm.TargetMachine:
    """LLVM's code generator for a target."""
    found = llvm.Target.from_triple(target.triple)
    return found.create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="small"
    )
